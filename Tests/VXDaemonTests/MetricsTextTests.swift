import Foundation
import Metrics
import Testing
import VXControlSocket
import VXDataPlane
import VXLinux
import VXMetrics
import VXRuntime
import VXWire

@testable import VXDaemon

@Suite struct MetricsTextTests {
    private static let registry: MetricsRegistry = {
        let registry = MetricsRegistry(MetricCatalog.recorded)
        for family in MetricCatalog.recorded {
            let dimensions = family.labels.map { ($0, "x") }
            switch family.kind {
            case .counter: Counter(label: family.name, dimensions: dimensions, factory: registry).increment()
            case .histogram: Timer(label: family.name, dimensions: dimensions, factory: registry).recordSeconds(1)
            default: Gauge(label: family.name, dimensions: dimensions, factory: registry).record(1)
            }
        }
        return registry
    }()

    private func peer(_ number: Int) -> PeerStatus {
        var peer = PeerStatus(
            name: "peer-\(number)",
            publicKey: nil,
            mode: "sealed",
            endpoint: "192.0.2.2:47890",
            state: "established"
        )
        peer.postQuantum = true
        peer.keyAgeSeconds = 12.5
        peer.lastHandshakeSecondsAgo = 12.5
        peer.rttMicroseconds = 310
        peer.rtt = .init(minMicroseconds: 290, medianMicroseconds: 310, p99Microseconds: 1250, samples: 20)
        peer.pathMTU = 1500
        peer.peerLanes = 2
        peer.lanePorts = ["own", "black"]
        peer.received.bytes = UInt64(number)
        peer.lost.sent = 7
        peer.drops = ["replayed": 3]
        return peer
    }

    private func network(_ vni: UInt32) -> NetworkStatus {
        var status = NetworkStatus(
            vni: vni,
            mode: "mixed",
            device: "vxs\(vni)",
            mtu: 1414,
            fdb: .init(learned: 3, limit: 16384, refused: 1, frozen: 0)
        )
        status.traffic = .init(receivedPackets: 1, receivedBytes: 2, sentPackets: 3, sentBytes: 4)
        status.drops = ["loopSuspected": 2]
        status.neighbors = .init(known: 1, answered: 2, refused: 3)
        status.groups = .init(
            memberships: 1,
            refused: 2,
            ignored: 3,
            routers: [],
            hasIPv4Querier: true,
            hasIPv6Querier: false
        )
        status.relay = .init(isStopped: true, stops: 4)
        return status
    }

    private func text(peers: [PeerStatus], networks: [NetworkStatus] = []) -> MetricsText {
        var process = ProcessFigures()
        process.residentBytes = 4096
        process.threadSeconds = [("hs", 0.25), ("lane0", 2)]
        return MetricsText(
            node: "node-a",
            cipher: "libsodium",
            steering: "ebpf",
            isReady: true,
            stuckThreads: 0,
            drops: DropReason.allCases.map { ($0.name, 0) },
            offloads: [("udpGro", .missing)],
            handovers: [0, 5],
            peers: peers,
            networks: networks.map { ($0, true) },
            process: process,
            startTime: 1,
            now: 1_700_000_000
        )
    }

    private func lines(_ text: MetricsText, _ format: ExpositionFormat = .text) -> [Substring] {
        String(decoding: text.write(format, registry: Self.registry), as: UTF8.self).split(separator: "\n")
    }

    @Test func everyFamilyOfTheCatalogAndNoOther() {
        let lines = lines(text(peers: [peer(1)], networks: [network(42)]))
        let described = lines.filter { $0.hasPrefix("# TYPE ") }.map { String($0.split(separator: " ")[2]) }
        #expect(described == MetricCatalog.all.map(\.name))
        #expect(Set(described).count == described.count)
        for family in MetricCatalog.all {
            let name = family.kind == .histogram ? family.name + "_count" : family.name
            let sample = lines.first { $0.hasPrefix(name + "{") || $0.hasPrefix(name + " ") }
            let labels = sample.map { line in
                line.split(separator: "{").dropFirst().first?.split(separator: "}")[0].split(separator: ",").map {
                    String($0.split(separator: "=")[0])
                } ?? []
            }
            #expect(labels == family.labels, "\(family.name)")
        }
    }

    @Test func samplesOfAPeer() {
        var plain = PeerStatus(name: "leaf \"1\"", publicKey: nil, mode: "plaintext", endpoint: nil, state: "plaintext")
        plain.reservedBits = 9
        var down = PeerStatus(name: "down", publicKey: nil, mode: "sealed", endpoint: nil, state: "down")
        down.tripwires = 3
        let lines = Set(lines(text(peers: [peer(18), plain, down])))
        for line in [
            #"vxseal_peer_up{peer="peer-18"} 1"#, #"vxseal_peer_up{peer="leaf \"1\""} 1"#,
            #"vxseal_peer_up{peer="down"} 0"#, #"vxseal_peer_state{peer="peer-18",state="established"} 1"#,
            #"vxseal_peer_state{peer="peer-18",state="down"} 0"#, #"vxseal_peer_state{peer="down",state="down"} 1"#,
            #"vxseal_peer_received_bytes_total{peer="peer-18"} 18"#,
            #"vxseal_peer_lost_datagrams_total{peer="peer-18",direction="sent"} 7"#,
            #"vxseal_peer_lost_datagrams_total{peer="peer-18",direction="received"} 0"#,
            #"vxseal_peer_drops_total{peer="peer-18",reason="replayed"} 3"#,
            #"vxseal_peer_rtt_seconds{peer="peer-18"} 0.00031"#,
            #"vxseal_peer_rtt_p99_seconds{peer="peer-18"} 0.00125"#,
            #"vxseal_peer_path_mtu_bytes{peer="peer-18"} 1500"#,
            #"vxseal_peer_key_age_seconds{peer="peer-18"} 12.5"#, #"vxseal_peer_black_lanes{peer="peer-18"} 1"#,
            #"vxseal_peer_last_handshake_timestamp_seconds{peer="peer-18"} 1699999987.5"#,
            #"vxseal_peer_tripwires_total{peer="down"} 3"#,
            #"vxseal_peer_reserved_set_datagrams_total{peer="leaf \"1\""} 9"#,
            #"vxseal_offload{name="udpGro",state="missing"} 1"#, #"vxseal_offload{name="udpGro",state="on"} 0"#,
            #"vxseal_lane_handovers_total{lane="1"} 5"#, #"vxseal_thread_cpu_seconds_total{thread="hs"} 0.25"#,
            "process_resident_memory_bytes 4096",
        ] { #expect(lines.contains(Substring(line)), "\(line)") }
        // What is not known is left out, and a plaintext peer has no session.
        #expect(!lines.contains { $0.hasPrefix(#"vxseal_peer_key_age_seconds{peer="down""#) })
        #expect(!lines.contains { $0.hasPrefix(#"vxseal_peer_state{peer="leaf"#) })
    }

    @Test func fiveThousandPeers() {
        let text = text(peers: (1...5000).map(peer))
        let lines = lines(text)
        #expect(lines.count { $0.hasPrefix("vxseal_peer_received_bytes_total{") } == 5000)
        #expect(lines.contains(#"vxseal_peer_received_bytes_total{peer="peer-5000"} 5000"#))
        // Every line is a description or a sample, and each sample stands once.
        let samples = lines.filter { $0.first != "#" }
        #expect(samples.allSatisfy { $0.hasPrefix("vxseal_") || $0.hasPrefix("process_") })
        #expect(Set(samples.map { $0.prefix(upTo: $0.lastIndex(of: " ")!) }).count == samples.count)
    }

    @Test func lossesNeverFall() {
        let marks = LossMarks()
        func told(_ name: String, received: UInt64, sent: UInt64, handshakes: UInt64) -> PeerStatus.Loss {
            var peer = PeerStatus(name: name, publicKey: nil, mode: "sealed", endpoint: nil, state: "established")
            peer.handshakes = handshakes
            peer.lost.received = received
            peer.lost.sent = sent
            var peers = [peer]
            marks.raise(&peers)
            return peers[0].lost
        }
        #expect(told("a", received: 5, sent: 7, handshakes: 1).received == 5)
        let later = told("a", received: 4, sent: 8, handshakes: 2)
        #expect(later.received == 5 && later.sent == 8)
        #expect(told("a", received: 6, sent: 0, handshakes: 2).sent == 8)
        // Another peer of the name begins anew.
        #expect(told("a", received: 1, sent: 0, handshakes: 1).received == 1)
        #expect(told("b", received: 0, sent: 0, handshakes: 1).received == 0)
        #expect(told("a", received: 0, sent: 0, handshakes: 1).received == 0)
    }

    /// The page is for people; that it lists what there is, is for the program to see to.
    @Test func theDocumentationListsEveryMetric() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("Documentation/metrics.md"), encoding: .utf8)
        let listed = page.split(separator: "\n").filter { $0.hasPrefix("| `vxseal_") || $0.hasPrefix("| `process_") }
        let wanted = MetricCatalog.all.map { family in
            let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
            return "| `\(family.name)` | \(family.kind.rawValue) | \(labels) | \(family.help) |"
        }
        #expect(listed.map(String.init) == wanted, "the table should be:\n\(wanted.joined(separator: "\n"))")
    }
}

@Suite struct TurnWatchTests {
    private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test func aThreadThatStandsStillIsNamed() {
        var watch = TurnWatch()
        #expect(watch.stuck(now: at(0)).isEmpty)
        for second in 1...5 { watch.look([UInt64(second), 1, 0], now: at(UInt64(second))) }
        #expect(watch.stuck(now: at(5)).isEmpty)
        watch.look([6, 1, 0], now: at(6))
        let stuck = watch.stuck(now: at(7))
        #expect(stuck.map(\.place) == [1] && stuck[0].time == .seconds(6))
        watch.look([7, 2, 0], now: at(8))
        #expect(watch.stuck(now: at(8)).isEmpty)
    }

    @Test func nothingIsHeldAgainstAMachineThatSlept() {
        var watch = TurnWatch()
        watch.look([1], now: at(1))
        watch.look([1], now: at(3600))
        #expect(watch.stuck(now: at(3600)).isEmpty)
        for second in 1...5 { watch.look([1], now: at(3600 + UInt64(second))) }
        #expect(watch.stuck(now: at(3605)).map(\.place) == [0])
    }
}
