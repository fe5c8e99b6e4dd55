import Foundation
import Testing
import VXConfig
import VXControlSocket

@testable import VXDoctor

/// Checks on a machine that is made up.
@Suite struct FindingTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("doctor-\(UUID().uuidString)")

    /// A node of two networks and one peer.
    private func configuration() throws -> NodeConfiguration {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let key = folder.appendingPathComponent("a.key").path
        let text = """
            node: a
            privateKeyFile: \(key)
            stateDirectory: \(folder.path)/state
            adminSocket: /run/vxseal/a.sock
            cipher: auto
            networks: [{vni: 42, addresses: [10.98.0.1/24]}]
            peers: [{name: b, publicKey: "GOJCe9GCAW4S19ZOSZno9JZBag08AbwIUz1rk3S18h0=", endpoint: "192.0.2.2:47890", networks: [42]}]
            """
        try Data("fcrQRqAdAgUC91udznSc9R0KkK3clbbS0ZtiCZ5j8Jg=\n".utf8).write(to: URL(fileURLWithPath: key))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        let file = folder.appendingPathComponent("a.yaml").path
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        var loader = ConfigurationLoader()
        loader.allowVolatileState = true
        return try loader.load(path: file)
    }

    private func status(_ change: (inout StatusReply) -> Void) -> StatusReply {
        var peer = PeerStatus(
            name: "b",
            publicKey: "k",
            mode: "sealed",
            endpoint: "192.0.2.2:47890",
            state: "established"
        )
        peer.pathMTU = 1500
        var status = StatusReply(
            node: "a",
            publicKey: "k",
            listen: [],
            cipher: "ipsec-mb",
            lanes: 1,
            steering: nil,
            handovers: 0,
            offloads: ["tapTso": "on"],
            uptimeSeconds: 9,
            networks: [
                NetworkStatus(
                    vni: 42,
                    mode: "sealed",
                    device: "vxs42",
                    mtu: 1414,
                    fdb: .init(learned: 0, limit: 16384, refused: 0, frozen: 0)
                )
            ],
            peers: [peer],
            drops: [:]
        )
        change(&status)
        return status
    }

    private func found(
        by check: (Examination) -> [Finding],
        host: VXDoctor.Host = VXDoctor.Host(),
        _ change: (inout StatusReply) -> Void = { _ in }
    )
        throws -> [String]
    {
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = Examination(configuration: try configuration(), status: status(change), host: host)
        return check(node).map(\.id)
    }

    @Test("nothing is found about peers that are well")
    func well() throws {
        #expect(try found(by: PeerChecks.run).isEmpty)
        #expect(try found(by: MachineChecks.run, host: Self.machine).isEmpty)
    }

    private static var machine: VXDoctor.Host {
        var host = VXDoctor.Host()
        host.status = { $0 == "/dev/net/tun" ? VXDoctor.Host.FileStatus(mode: 0o666, owner: 0) : nil }
        return host
    }

    @Test("peers: no session, contested, a path too small for handshakes or for the device, loss, tripwires, drops")
    func peers() throws {
        #expect(try found(by: PeerChecks.run) { $0.peers[0].state = "handshaking" } == ["peers.unreachable"])
        let silent = try found(by: PeerChecks.run) {
            $0.peers[0].state = "down"
            $0.peers[0].endpoint = nil
        }
        #expect(silent == ["peers.silent"])
        #expect(try found(by: PeerChecks.run) { $0.peers[0].state = "contested" } == ["peers.contested"])
        #expect(try found(by: PeerChecks.run) { $0.peers[0].pathMTU = 1379 } == ["peers.smallPath"])
        #expect(try found(by: PeerChecks.run) { $0.peers[0].pathMTU = 1380 } == ["peers.path"])
        #expect(try found(by: PeerChecks.run) { $0.peers[0].tripwires = 1 } == ["peers.tripwire"])
        #expect(try found(by: PeerChecks.run) { $0.peers[0].lanePorts = ["fixed", "own"] }.isEmpty)
        #expect(try found(by: PeerChecks.run) { $0.peers[0].lanePorts = ["fixed", "black"] } == ["peers.blackLane"])
        for seconds: Int64 in [-60, 60] {
            #expect(try found(by: PeerChecks.run) { $0.peers[0].clockAheadSeconds = seconds }.isEmpty)
        }
        for seconds: Int64 in [-61, 61] {
            #expect(try found(by: PeerChecks.run) { $0.peers[0].clockAheadSeconds = seconds } == ["clock.peer"])
        }
        #expect(try found(by: PeerChecks.run) { $0.drops = ["replayed": 1, "hairpin": 9] } == ["drops.replayed"])
        func loss(_ lost: UInt64, of whole: UInt64) throws -> [String] {
            try found(by: PeerChecks.run) {
                $0.peers[0].lost.received = lost
                $0.peers[0].received.datagrams = whole - lost
            }
        }
        #expect(try loss(99, of: 100).isEmpty)
        #expect(try loss(100, of: 10_001).isEmpty)
        #expect(try loss(100, of: 10_000) == ["peers.loss"])
    }

    @Test("the machine: clock, random numbers, cipher, offloads, sandbox, steering, TUN")
    func machineChecks() throws {
        var host = Self.machine
        host.isClockSynchronised = false
        host.hasEntropy = false
        #expect(try found(by: MachineChecks.run, host: host) == ["clock.unsynchronised", "kernel.entropy"])
        #expect(try found(by: MachineChecks.run) == ["kernel.tun"])
        host = Self.machine
        host.read = { $0 == "/proc/cpuinfo" ? "processor : 0\nflags : fpu avx2\n" : nil }
        #expect(try found(by: MachineChecks.run, host: host) { $0.cipher = "openssl" } == ["cipher.slower"])
        host.read = { $0 == "/proc/cpuinfo" ? "processor : 0\nflags : fpu\n" : nil }
        #expect(try found(by: MachineChecks.run, host: host) { $0.cipher = "openssl" }.isEmpty)
        let offloads = ["tapTso": "retreated", "tapUso": "missing", "udpGro": "off"]
        #expect(
            try found(by: MachineChecks.run, host: Self.machine) { $0.offloads = offloads } == [
                "offloads.retreated", "offloads.missing",
            ]
        )
        #expect(try found(by: MachineChecks.run, host: Self.machine) { $0.steering = "kernel" } == ["kernel.steering"])
        #expect(
            try found(by: MachineChecks.run, host: Self.machine) { $0.drops = ["staleTimestamp": 3] } == ["clock.stale"]
        )
    }

    @Test("connection tracking that is nearly full; datagrams that the node's own sockets lost, not those of others")
    func sockets() throws {
        func host(tracked: Int, port: String) -> VXDoctor.Host {
            var host = VXDoctor.Host()
            host.read = { path in
                switch path {
                case "/proc/sys/net/netfilter/nf_conntrack_count": "\(tracked)\n"
                case "/proc/sys/net/netfilter/nf_conntrack_max": "1000\n"
                case "/proc/net/udp":
                    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
                        + " 1: 00000000:\(port) 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0 5\n"
                default: nil
                }
            }
            return host
        }
        // 47890 is 0xBB12.
        #expect(try found(by: SocketChecks.run, host: host(tracked: 499, port: "BB13")).isEmpty)
        #expect(try found(by: SocketChecks.run, host: host(tracked: 899, port: "BB13")) == ["tracking.notrack"])
        #expect(try found(by: SocketChecks.run, host: host(tracked: 900, port: "BB13")) == ["tracking.full"])
        #expect(try found(by: SocketChecks.run, host: host(tracked: 0, port: "BB12")) == ["sockets.drops"])
    }

    @Test("datagrams with a wrong checksum, of both families together, when they are more than a link's noise")
    func checksums() throws {
        func found(ipv4: (wrong: Int, right: Int), ipv6: (wrong: Int, right: Int) = (0, 0)) throws -> [String] {
            var host = VXDoctor.Host()
            host.read = { path in
                switch path {
                case "/proc/net/snmp":
                    "Tcp: InSegs InCsumErrors\nTcp: 9 900\nUdp: InDatagrams NoPorts InCsumErrors MemErrors\n"
                        + "Udp: \(ipv4.right) 3 \(ipv4.wrong) 0\nUdpLite: InDatagrams\nUdpLite: 0\n"
                case "/proc/net/snmp6":
                    "Udp6InDatagrams                 \t\(ipv6.right)\nUdp6InCsumErrors\t\(ipv6.wrong)\n"
                default: nil
                }
            }
            return try self.found(by: SocketChecks.run, host: host)
        }
        #expect(try found(ipv4: (99, 0)).isEmpty)
        #expect(try found(ipv4: (100, 0)) == ["sockets.checksums"])
        #expect(try found(ipv4: (40, 0), ipv6: (60, 9_900)) == ["sockets.checksums"])
        #expect(try found(ipv4: (100, 9_901)).isEmpty)
    }

    @Test(
        "output that is no ruleset is said to be none",
        arguments: [nil, "", "{}", #"{"nftables": 3}"#]
    )
    func noRuleset(text: String?) throws {
        var host = VXDoctor.Host()
        host.run = { program, _ in program == "nft" ? text : nil }
        #expect(try found(by: FirewallChecks.run, host: host) == ["firewall.unread"])
    }

    @Test("rules of iptables-legacy, which drop, or of which the program is missing")
    func legacy() throws {
        func found(_ input: String..., program: Bool = true) throws -> [String] {
            var host = VXDoctor.Host()
            host.read = { $0 == "/proc/net/ip_tables_names" ? "filter\n" : nil }
            let text = """
                # Generated by iptables-save
                *filter
                :INPUT \(input[0]) [0:0]
                :OUTPUT ACCEPT [5:300]
                :own - [0:0]
                \(input.dropFirst().map { "-A " + $0 }.joined(separator: "\n"))
                COMMIT
                """
            host.run = { name, _ in
                switch name {
                case "nft": #"{"nftables": []}"#
                case "iptables-legacy-save": program ? text : nil
                default: nil
                }
            }
            return try self.found(by: FirewallChecks.run, host: host)
        }
        #expect(try found("ACCEPT").isEmpty)
        #expect(try found("ACCEPT", program: false) == ["firewall.legacyUnread"])
        #expect(try found("DROP") == ["firewall.policy"])
        #expect(try found("ACCEPT", "INPUT -p udp -m udp --dport 47890 -j DROP") == ["firewall.port"])
        #expect(try found("ACCEPT", "INPUT -p udp -m multiport --dports 53,47000:48000 -j DROP") == ["firewall.port"])
        #expect(try found("ACCEPT", "INPUT ! -s 192.0.2.0/24 -j DROP").isEmpty)
        #expect(try found("ACCEPT", "INPUT -m comment --comment \"-j \\\" DROP\" -j ACCEPT", "INPUT -j DROP").isEmpty)
        #expect(try found("ACCEPT", "INPUT -m recent --update --name x -j DROP").isEmpty)
        #expect(
            try found("ACCEPT", "INPUT -j own", "own -s 192.0.2.2/32 -j REJECT --reject-with icmp-port-unreachable")
                == ["firewall.port"]
        )
        #expect(try found("DROP", "INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT") == ["firewall.policy"])
        #expect(try found("DROP", "INPUT -p udp -m udp --dport 47890 -j ACCEPT").isEmpty)
        #expect(try found("ACCEPT", "OUTPUT -d 192.0.2.2/32 -p udp -j DROP") == ["firewall.output"])
    }

    @Test(
        "rules of a newer nft are no finding and no crash",
        arguments: [
            #"{"nftables": [{"rule": {"expr": "x"}}, {"new": []}, {"chain": {}}]}"#,
            #"{"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"drop": null}, {"match": 1}]}}]}"#,
            #"{"nftables": [{"rule": {"expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": {"range": [9, 1]}}}, {"drop": null}]}}]}"#,
        ]
    )
    func rulesets(text: String) throws {
        var host = VXDoctor.Host()
        host.run = { program, _ in program == "nft" ? text : nil }
        #expect(try found(by: FirewallChecks.run, host: host).isEmpty)
    }
}
