import Logging
import ServiceLifecycle
import VXConfig
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

/// Tells the log when a peer's session begins, and when a peer has not answered for a while and what to look at.
struct PeerWatch: Service {
    let roster: RosterBoard
    let board: StatusBoard
    let logger: Logger

    /// A peer that has no session for so long is named: three handshakes went without answer.
    static let patience = Interval.seconds(15)
    /// Plaintext in a peer's name is told of once a minute.
    private static let tripwireInterval = Interval.seconds(60)

    /// What was last said of a peer.
    private struct Standing {
        let name: String
        var isEstablished = false
        var since: Instant
        var isNamed = false
        /// When plaintext in its name was last told of.
        var tripwireToldAt: Instant?
    }

    func run() async throws {
        var standings: [PeerIndex: Standing] = [:]
        while await pause(.seconds(1)) {
            let now = Clocks.bootTime()
            let peers = roster.current.orderedPeers
            let known = standings
            standings = [:]
            for (index, peer) in peers {
                guard peer.sealed != nil else { continue }
                var standing = Standing(name: peer.name, since: now)
                if let before = known[index], before.name == peer.name { standing = before }
                look(at: index, &standing, now: now)
                standings[index] = standing
            }
        }
    }

    private func look(at index: PeerIndex, _ standing: inout Standing, now: Instant) {
        guard let entry = board[index] else { return }
        let name = standing.name
        let endpoint = entry.endpoint.map(\.description)
        if let tripwire = entry.tripwire { tell(of: tripwire, &standing) }
        let isEstablished = entry.state == .established
        if isEstablished != standing.isEstablished {
            standing.isEstablished = isEstablished
            standing.since = now
            standing.isNamed = false
            guard isEstablished else { return }
            logger.info("session established", metadata: ["peer": "\(name)", "endpoint": "\(endpoint ?? "unknown")"])
        } else if !isEstablished, !standing.isNamed, now.since(standing.since) >= Self.patience, let endpoint {
            standing.isNamed = true
            logger.warning("\(Self.advice(endpoint: endpoint))", metadata: ["peer": "\(name)"])
        }
    }

    private func tell(of tripwire: StatusBoard.Tripwire, _ standing: inout Standing) {
        if let told = standing.tripwireToldAt, tripwire.at.since(told) < Self.tripwireInterval { return }
        standing.tripwireToldAt = tripwire.at
        logger.warning(
            """
            tripwire: plaintext VXLAN came from the address of a peer that has a key, and was dropped; somebody forges, or \
            something there does not encrypt
            """,
            metadata: ["peer": "\(standing.name)", "source": "\(tripwire.source)"]
        )
    }

    /// What to look at when a peer does not answer.
    static func advice(endpoint: String) -> String {
        "no answer from \(endpoint); see that vxseal runs there, that UDP passes in both directions, and that each side "
            + "lists the other's public key (vxseal pubkey) and the same preshared key; still trying"
    }
}
