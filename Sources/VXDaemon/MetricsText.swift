import VXControlSocket
import VXHandshake
import VXLinux
import VXMetrics
import VXRuntime

/// The daemon's numbers of one moment, and how they are written for Prometheus.
struct MetricsText {
    var node: String
    var cipher: String
    var steering: String?
    var isReady: Bool
    var stuckThreads: Int
    var drops: [(reason: String, count: UInt64)]
    var offloads: [(name: String, state: OffloadState)]
    /// By lane.
    var handovers: [UInt64]
    /// With the numbers that only grow.
    var peers: [PeerStatus]
    /// Each network and whether it is up.
    var networks: [(status: NetworkStatus, isUp: Bool)]
    var process: ProcessFigures
    /// Seconds since 1970; nil where it is not known.
    var startTime: Double?
    /// Seconds since 1970.
    var now: Double

    /// Bytes of all samples of a peer, and what else there is: an answer is rarely copied as it grows.
    private static let bytesPerPeer = 1800

    /// Everything, in the catalog's order.
    func write(_ format: ExpositionFormat, registry: MetricsRegistry) -> [UInt8] {
        var writer = ExpositionWriter(
            format,
            capacity: (64 << 10) + Self.bytesPerPeer * (peers.count + networks.count)
        )
        writeNode(&writer)
        writePeers(&writer)
        writeNetworks(&writer)
        registry.write(MetricCatalog.recorded, to: &writer)
        writeProcess(&writer)
        return writer.finish()
    }

    private func writeNode(_ writer: inout ExpositionWriter) {
        writer.begin(MetricCatalog.build)
        writer.addInfo(LabelSet((name: "version", value: Release.version)))
        writer.begin(MetricCatalog.node)
        writer.addInfo(
            LabelSet(
                (name: "node", value: node),
                (name: "cipher", value: cipher),
                (name: "steering", value: steering ?? "none")
            )
        )
        writer.begin(MetricCatalog.ready)
        writer.add(.none, isReady)
        writer.begin(MetricCatalog.threadsStuck)
        writer.add(.none, stuckThreads)
        writer.begin(MetricCatalog.drops)
        for (reason, count) in drops { writer.add(LabelSet((name: "reason", value: reason)), count) }
        writer.begin(MetricCatalog.offload)
        for (name, current) in offloads {
            let labels = LabelSet((name: "name", value: name))
            for state in OffloadState.allCases { writer.add(labels.with("state", state.rawValue), state == current) }
        }
        writer.begin(MetricCatalog.handovers)
        for (lane, count) in handovers.enumerated() {
            writer.add(LabelSet((name: "lane", value: String(lane))), count)
        }
        writer.begin(MetricCatalog.threadProcessor)
        for thread in process.threadSeconds {
            writer.add(LabelSet((name: "thread", value: thread.name)), thread.seconds)
        }
    }

    // MARK: - Peers

    private func writePeers(_ writer: inout ExpositionWriter) {
        let all = peers.map { (labels: LabelSet((name: "peer", value: $0.name)), status: $0) }
        let sealed = all.filter { $0.status.state != "plaintext" }
        writer.begin(MetricCatalog.peerUp)
        for peer in all { writer.add(peer.labels, ["established", "plaintext"].contains(peer.status.state)) }
        writer.begin(MetricCatalog.peerState)
        for peer in sealed {
            for state in PeerState.allCases {
                writer.add(peer.labels.with("state", state.rawValue), state.rawValue == peer.status.state)
            }
        }
        func counts(_ family: MetricFamily, _ value: (PeerStatus) -> UInt64) {
            writer.begin(family)
            for peer in all { writer.add(peer.labels, value(peer.status)) }
        }
        counts(MetricCatalog.peerReceivedDatagrams) { $0.received.datagrams }
        counts(MetricCatalog.peerReceivedFrames) { $0.received.frames }
        counts(MetricCatalog.peerReceivedBytes) { $0.received.bytes }
        counts(MetricCatalog.peerSentDatagrams) { $0.sent.datagrams }
        counts(MetricCatalog.peerSentFrames) { $0.sent.frames }
        counts(MetricCatalog.peerSentBytes) { $0.sent.bytes }
        writer.begin(MetricCatalog.peerLost)
        for peer in sealed {
            writer.add(peer.labels.with("direction", "received"), peer.status.lost.received)
            writer.add(peer.labels.with("direction", "sent"), peer.status.lost.sent)
        }
        counts(MetricCatalog.peerDuplicated) { $0.duplicated }
        counts(MetricCatalog.peerReordered) { $0.reordered }
        writer.begin(MetricCatalog.peerDrops)
        for peer in all {
            for (reason, count) in peer.status.drops.sorted(by: { $0.key < $1.key }) {
                writer.add(peer.labels.with("reason", reason), count)
            }
        }
        counts(MetricCatalog.peerReservedBits) { $0.reservedBits }
        counts(MetricCatalog.peerTripwires) { $0.tripwires }
        counts(MetricCatalog.peerHandshakes) { $0.handshakes }
        func measures(_ family: MetricFamily, _ value: (PeerStatus) -> Double?) {
            writer.begin(family)
            for peer in sealed { if let value = value(peer.status) { writer.add(peer.labels, value) } }
        }
        measures(MetricCatalog.peerPostQuantum) { $0.postQuantum ? 1 : 0 }
        measures(MetricCatalog.peerKeyAge) { $0.keyAgeSeconds }
        // In whole milliseconds: the difference of two clocks is no more exact.
        measures(MetricCatalog.peerLastHandshake) {
            $0.lastHandshakeSecondsAgo.map { ((now - $0) * 1000).rounded() / 1000 }
        }
        measures(MetricCatalog.peerRoundTrip) { $0.rttMicroseconds.map { Double($0) / 1e6 } }
        measures(MetricCatalog.peerLeastRoundTrip) { $0.rtt.map { Double($0.minMicroseconds) / 1e6 } }
        measures(MetricCatalog.peerP99RoundTrip) { $0.rtt.map { Double($0.p99Microseconds) / 1e6 } }
        measures(MetricCatalog.peerPathMTU) { $0.pathMTU.map { Double($0) } }
        measures(MetricCatalog.peerLanes) { $0.peerLanes.map { Double($0) } }
        measures(MetricCatalog.peerBlackLanes) { Double($0.lanePorts.count { $0 == LanePort.black.rawValue }) }
    }

    // MARK: - Networks

    private func writeNetworks(_ writer: inout ExpositionWriter) {
        let all = networks.map {
            (labels: LabelSet((name: "vni", value: String($0.status.vni))), status: $0.status, isUp: $0.isUp)
        }
        writer.begin(MetricCatalog.network)
        for network in all {
            let status = network.status
            writer.addInfo(
                network.labels.with("mode", status.mode).with("device", status.device ?? "").with(
                    "bridge",
                    status.bridge ?? ""
                )
            )
        }
        writer.begin(MetricCatalog.networkMTU)
        for network in all { writer.add(network.labels, network.status.mtu) }
        writer.begin(MetricCatalog.networkUp)
        for network in all { writer.add(network.labels, network.isUp) }
        func numbers(_ family: MetricFamily, _ value: (NetworkStatus) -> Int?) {
            writer.begin(family)
            for network in all { if let value = value(network.status) { writer.add(network.labels, value) } }
        }
        func counts(_ family: MetricFamily, _ value: (NetworkStatus) -> UInt64?) {
            writer.begin(family)
            for network in all { if let value = value(network.status) { writer.add(network.labels, value) } }
        }
        numbers(MetricCatalog.networkRestarts) { $0.deviceRestarts }
        counts(MetricCatalog.networkReceivedPackets) { $0.traffic?.receivedPackets }
        counts(MetricCatalog.networkReceivedBytes) { $0.traffic?.receivedBytes }
        counts(MetricCatalog.networkSentPackets) { $0.traffic?.sentPackets }
        counts(MetricCatalog.networkSentBytes) { $0.traffic?.sentBytes }
        numbers(MetricCatalog.networkStations) { $0.fdb.learned }
        numbers(MetricCatalog.networkStationLimit) { $0.fdb.limit }
        counts(MetricCatalog.networkRefused) { $0.fdb.refused }
        counts(MetricCatalog.networkFrozen) { $0.fdb.frozen }
        numbers(MetricCatalog.networkNeighbors) { $0.neighbors?.known }
        counts(MetricCatalog.networkNeighborsAnswered) { $0.neighbors?.answered }
        counts(MetricCatalog.networkNeighborsRefused) { $0.neighbors?.refused }
        numbers(MetricCatalog.networkMemberships) { $0.groups?.memberships }
        counts(MetricCatalog.networkMembershipsRefused) { $0.groups?.refused }
        counts(MetricCatalog.networkMessagesIgnored) { $0.groups?.ignored }
        writer.begin(MetricCatalog.networkQuerier)
        for network in all {
            guard let groups = network.status.groups else { continue }
            writer.add(network.labels.with("family", "ipv4"), groups.hasIPv4Querier)
            writer.add(network.labels.with("family", "ipv6"), groups.hasIPv6Querier)
        }
        numbers(MetricCatalog.networkRelayStopped) { $0.relay.map { $0.isStopped ? 1 : 0 } }
        counts(MetricCatalog.networkRelayStops) { $0.relay?.stops }
        writer.begin(MetricCatalog.networkDrops)
        for network in all {
            for (reason, count) in network.status.drops.sorted(by: { $0.key < $1.key }) {
                writer.add(network.labels.with("reason", reason), count)
            }
        }
    }

    private func writeProcess(_ writer: inout ExpositionWriter) {
        func write(_ family: MetricFamily, _ value: Double?) {
            guard let value else { return }
            writer.begin(family)
            writer.add(.none, value)
        }
        write(MetricCatalog.residentMemory, process.residentBytes.map { Double($0) })
        write(MetricCatalog.virtualMemory, process.virtualBytes.map { Double($0) })
        write(MetricCatalog.processor, process.processorSeconds)
        write(MetricCatalog.openDescriptors, process.openDescriptors.map { Double($0) })
        write(MetricCatalog.mostDescriptors, Double(process.mostDescriptors))
        write(MetricCatalog.startTime, startTime)
    }
}
