import Foundation
import Synchronization
import VXConfig
import VXControlSocket
import VXCrypto
import VXLinux
import VXMetrics
import VXRuntime
import VXWire

/// Answers the metrics listener from what `status` is made of, without asking any thread.
struct MetricsSource: MetricsBackend {
    let backend: Backend
    let health: NodeHealth
    let registry: MetricsRegistry
    private let losses = LossMarks()
    private let startTime = ProcessFigures.startTime()

    init(backend: Backend, health: NodeHealth, registry: MetricsRegistry) {
        self.backend = backend
        self.health = health
        self.registry = registry
    }

    func metrics(_ format: ExpositionFormat) async -> [UInt8] {
        let now = Clocks.bootTime()
        let (roster, runtime) = (backend.roster.current, backend.runtime)
        let lanes = roster.counters.count
        let carried = backend.carried
        var peers = roster.orderedPeers.map { backend.status(of: $1, at: $0, of: roster, key: nil, now: now) }
        losses.raise(&peers)
        let text = MetricsText(
            node: roster.configuration.node,
            cipher: backend.cipher.rawValue,
            steering: lanes > 1 ? backend.steering.rawValue : nil,
            isReady: health.hindrances.isEmpty,
            stuckThreads: health.stuckThreads.count,
            drops: DropReason.allCases.map { ($0.name, runtime.drops($0)) },
            offloads: runtime.offloads.current,
            handovers: (0..<lanes).map(runtime.handovers(lane:)),
            peers: peers,
            networks: roster.orderedNetworks.map { place, network in
                (
                    backend.status(of: network, at: place, of: roster, carried: carried, now: now),
                    health.hindrance(of: network, at: place) == nil
                )
            },
            process: ProcessFigures(),
            startTime: startTime,
            now: Date().timeIntervalSince1970
        )
        return text.write(format, registry: registry)
    }

    func ailments() async -> [String] { health.stuckThreads }

    func hindrances() async -> [String] { health.hindrances }
}

/// Keeps the counts of losses from falling. What a later datagram overtook counts as lost until it arrives; Prometheus takes a
/// counter that falls for a new one, and would add all of it again.
final class LossMarks: Sendable {
    private struct Mark {
        var handshakes: UInt64
        var received: UInt64
        var sent: UInt64
    }

    private let marks = Mutex<[String: Mark]>([:])

    /// Puts the highest value that was told before in the place of a lower one, unless the peer is another of its name.
    func raise(_ peers: inout [PeerStatus]) {
        marks.withLock { marks in
            let before = marks
            marks.removeAll(keepingCapacity: true)
            for place in peers.indices where peers[place].mode == "sealed" {
                let handshakes = peers[place].handshakes
                if let mark = before[peers[place].name], mark.handshakes <= handshakes {
                    peers[place].lost.received = max(peers[place].lost.received, mark.received)
                    peers[place].lost.sent = max(peers[place].lost.sent, mark.sent)
                }
                let lost = peers[place].lost
                marks[peers[place].name] = Mark(handshakes: handshakes, received: lost.received, sent: lost.sent)
            }
        }
    }
}
