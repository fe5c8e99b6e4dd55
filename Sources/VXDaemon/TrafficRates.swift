import ServiceLifecycle
import Synchronization
import VXDataPlane
import VXLinux
import VXWire

/// How fast each peer's traffic flows, over the last seconds. It reads what the lanes count anyway.
final class TrafficRates: Service {
    /// Frames and bytes of both directions: counted, or a second.
    struct Flow: Sendable {
        var receivedFrames: UInt64 = 0
        var receivedBytes: UInt64 = 0
        var sentFrames: UInt64 = 0
        var sentBytes: UInt64 = 0

        /// What came since `former`, a second; nothing where another peer has begun under the same index.
        func since(_ former: Flow, in seconds: Double) -> Flow {
            func rate(_ now: UInt64, _ then: UInt64) -> UInt64 { now < then ? 0 : UInt64(Double(now - then) / seconds) }
            return Flow(
                receivedFrames: rate(receivedFrames, former.receivedFrames),
                receivedBytes: rate(receivedBytes, former.receivedBytes),
                sentFrames: rate(sentFrames, former.sentFrames),
                sentBytes: rate(sentBytes, former.sentBytes)
            )
        }
    }

    private struct Sample: Sendable {
        let at: Instant
        let flows: [Flow]
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
        while await cancelWhenGracefulShutdown({ (try? await Task.sleep(for: Self.distance)) != nil }) {
            let sample = Self.sample(roster.current)
            samples.withLock { $0 = ($0.latest, sample) }
        }
    }

    /// What of a peer's traffic flows a second now.
    func rate(of peer: PeerIndex, counted: Flow, now: Instant) -> Flow {
        let former = samples.withLock { $0.former }
        let seconds = now.since(former.at).seconds
        guard Int(peer.rawValue) < former.flows.count, seconds > 0.1 else { return Flow() }
        return counted.since(former.flows[Int(peer.rawValue)], in: seconds)
    }

    private static func sample(_ roster: Roster) -> Sample {
        Sample(at: Clocks.bootTime(), flows: roster.peers.indices.map { flow(of: $0, in: roster) })
    }

    private static func flow(of peer: Int, in roster: Roster) -> Flow {
        var flow = Flow()
        for lane in roster.counters {
            let traffic = lane[peer]
            flow.receivedFrames += traffic.receivedFrames
            flow.receivedBytes += traffic.receivedBytes
            flow.sentFrames += traffic.sentFrames
            flow.sentBytes += traffic.sentBytes
        }
        return flow
    }
}
