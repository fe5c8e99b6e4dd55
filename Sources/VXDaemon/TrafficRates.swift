import ServiceLifecycle
import Synchronization
import VXControlSocket
import VXDataPlane
import VXLinux
import VXWire

/// How fast each peer's traffic flows, over the last seconds. It reads what the lanes count anyway.
final class TrafficRates: Service {
    private typealias Traffic = PeerStatus.Traffic

    private struct Sample: Sendable {
        let at: Instant
        /// By index.
        let peers: [(received: Traffic, sent: Traffic)]
    }

    /// How often it looks. A rate spans one to two of these.
    private static let distance = Duration.seconds(2)

    private let roster: RosterBoard
    private let samples: Mutex<(former: Sample, latest: Sample)>

    init(roster: RosterBoard) {
        self.roster = roster
        let sample = Self.sample(roster.current)
        samples = Mutex((sample, sample))
    }

    func run() async throws {
        while await pause(Self.distance) {
            let sample = Self.sample(roster.current)
            samples.withLock { $0 = ($0.latest, sample) }
        }
    }

    /// What of a peer's traffic flows a second now.
    /// - Parameters:
    ///   - received: counted so far.
    ///   - sent: counted so far.
    func rate(
        of peer: PeerIndex,
        received: PeerStatus.Traffic,
        sent: PeerStatus.Traffic,
        now: Instant
    ) -> PeerStatus.Rates {
        let former = samples.withLock { $0.former }
        let seconds = now.since(former.at).seconds
        guard Int(peer.rawValue) < former.peers.count, seconds > 0.1 else {
            return .init(receivedFrames: 0, receivedBytes: 0, sentFrames: 0, sentBytes: 0)
        }
        let then = former.peers[Int(peer.rawValue)]
        // Nothing where another peer has begun under the same index.
        func rate(_ now: UInt64, _ then: UInt64) -> UInt64 { now < then ? 0 : UInt64(Double(now - then) / seconds) }
        return .init(
            receivedFrames: rate(received.frames, then.received.frames),
            receivedBytes: rate(received.bytes, then.received.bytes),
            sentFrames: rate(sent.frames, then.sent.frames),
            sentBytes: rate(sent.bytes, then.sent.bytes)
        )
    }

    private static func sample(_ roster: Roster) -> Sample {
        Sample(
            at: Clocks.bootTime(),
            peers: roster.peers.indices.map { peer in
                var (received, sent) = (Traffic(), Traffic())
                for lane in roster.counters { lane[peer].add(to: &received, &sent) }
                return (received, sent)
            }
        )
    }
}
