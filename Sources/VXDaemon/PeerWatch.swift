import Logging
import ServiceLifecycle
import VXConfig
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

/// Tells the log when a peer's session begins, and when a peer has not answered for a while and what to look at.
struct PeerWatch: Service {
    let configuration: NodeConfiguration
    let board: StatusBoard
    let logger: Logger

    /// A peer that has no session for so long is named: three handshakes went without answer.
    static let patience = Interval.seconds(15)

    /// What was last said of a peer.
    private struct Standing {
        var isEstablished = false
        var since: Instant
        var isNamed = false
    }

    func run() async throws {
        let sealed = configuration.peers.indices.filter { configuration.peers[$0].sealed != nil }
        let start = Clocks.bootTime()
        var standings = [Standing](repeating: Standing(since: start), count: configuration.peers.count)
        while await pause() {
            let now = Clocks.bootTime()
            for place in sealed { look(at: place, &standings[place], now: now) }
        }
    }

    /// False when the daemon ends.
    private func pause() async -> Bool {
        await cancelWhenGracefulShutdown { (try? await Task.sleep(for: .seconds(1))) != nil }
    }

    private func look(at place: Int, _ standing: inout Standing, now: Instant) {
        guard let entry = board[PeerIndex(UInt16(place))] else { return }
        let name = configuration.peers[place].name
        let endpoint = entry.endpoint.map(\.description)
        let isEstablished = entry.state == .established
        if isEstablished != standing.isEstablished {
            standing = Standing(isEstablished: isEstablished, since: now)
            guard isEstablished else { return }
            logger.info("session established", metadata: ["peer": "\(name)", "endpoint": "\(endpoint ?? "unknown")"])
        } else if !isEstablished, !standing.isNamed, now.since(standing.since) >= Self.patience, let endpoint {
            standing.isNamed = true
            logger.warning("\(Self.advice(endpoint: endpoint))", metadata: ["peer": "\(name)"])
        }
    }

    /// What to look at when a peer does not answer.
    static func advice(endpoint: String) -> String {
        "no answer from \(endpoint); see that vxseal runs there, that UDP passes in both directions, and that each side "
            + "lists the other's public key (vxseal pubkey) and the same preshared key; still trying"
    }
}
