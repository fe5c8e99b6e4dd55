public import VXCrypto
import VXDataPlane
import VXWire

/// What a node with two lanes holds for peers that have a session and say nothing.
public final class IdleNode {
    private var first: VTEP
    private var second: VTEP

    /// Makes both lanes and a session of two lanes with each peer.
    public init(peers: Int, provider: BulkCipher.Provider) throws(BulkCipher.Refusal) {
        let offloads = PacketOffloads()
        let now = Instant(nanoseconds: 1_000_000_000)
        func lane(_ number: Int) throws(BulkCipher.Refusal) -> VTEP {
            let counters = (0..<peers).map { _ in PeerCounters() }
            let cipher = try BulkCipher.make(provider)
            return Stations.near.lane(number, of: 2, counters: counters, cipher: cipher, offloads: offloads)
        }
        first = try lane(0)
        second = try lane(1)
        for peer in 0..<peers {
            let keys = PeerKeys(peer: peer, lanes: 2).near
            let counters = PairCounters(threads: 2, receiveLanes: 2)
            let (local, remote) = (peer + 1, peer + 100_001)
            first.connect(peer, keys, counters: counters, local: local, remote: remote, offloads: offloads, now: now)
            second.connect(peer, keys, counters: counters, local: local, remote: remote, offloads: offloads, now: now)
        }
    }
}
