import Foundation
import Logging
import ServiceLifecycle
import VXConfig
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

/// Looks the peers' names up: when the node starts, and again as long as a peer can't be reached.
struct EndpointResolver: Service {
    let peers: [(index: PeerIndex, name: EndpointName)]
    let runtime: Runtime
    let logger: Logger

    /// Between two look-ups of a name.
    private static let pause = Duration.seconds(10)

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var complaints = LogInterval<String>()
            while !Task.isCancelled {
                for peer in peers where runtime.board[peer.index]?.state != .established {
                    guard let error = await lookUp(peer), complaints.allows(peer.name.host, now: Clocks.bootTime())
                    else { continue }
                    logger.warning(
                        "a peer's name is not found",
                        metadata: ["name": "\(peer.name.host)", "error": "\(error)"]
                    )
                }
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Why it was not found, if it was not.
    private func lookUp(_ peer: (index: PeerIndex, name: EndpointName)) async -> String? {
        let name = peer.name
        let result = await withCheckedContinuation { continuation in
            // getaddrinfo blocks; it has a thread of its own.
            Thread.detachNewThread {
                continuation.resume(returning: NameLookup.endpoint(of: name.host, port: name.port))
            }
        }
        switch result {
        case .success(let endpoint):
            runtime.resolved(peer.index, to: endpoint)
            return nil
        case .failure(let error): return error.text
        }
    }
}
