import Foundation
import Logging
import ServiceLifecycle
import VXConfig
import VXCrypto
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

/// Looks the peers' names up: when the node starts, and again as long as a peer can't be reached.
struct EndpointResolver: Service {
    let roster: RosterBoard
    let runtime: Runtime
    let logger: Logger

    /// Between two look-ups of a name.
    private static let pause = Duration.seconds(10)

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var complaints = LogInterval<String>()
            while !Task.isCancelled {
                for (index, peer) in roster.current.orderedPeers {
                    guard let name = peer.endpointName, let key = peer.sealed?.publicKey,
                        runtime.board[index]?.state != .established,
                        let error = await lookUp(name, of: index, key),
                        complaints.allows(name.host, now: Clocks.bootTime())
                    else { continue }
                    logger.warning(
                        "a peer's name is not found",
                        metadata: ["name": "\(name.host)", "error": "\(error)"]
                    )
                }
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Why it was not found, if it was not.
    private func lookUp(_ name: EndpointName, of peer: PeerIndex, _ key: PublicKey) async -> String? {
        let result = await withCheckedContinuation { continuation in
            // getaddrinfo blocks; it has a thread of its own.
            Thread.detachNewThread {
                continuation.resume(returning: NameLookup.endpoint(of: name.host, port: name.port))
            }
        }
        switch result {
        case .success(let endpoint):
            runtime.resolved(peer, key, to: endpoint)
            return nil
        case .failure(let error): return error.text
        }
    }
}
