import Foundation
import Testing
import VXConfig
import VXCrypto
import VXWire

/// Configurations right and wrong.
@Suite final class ConfigurationTests {
    private let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-config-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try write("node.key", StaticKeyPair().withBase64 { $0 }, mode: 0o600)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func write(_ name: String, _ text: String, mode: Int) throws {
        let path = directory.appendingPathComponent(name).path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func load(_ yaml: String) throws -> NodeConfiguration {
        try write("node.yaml", yaml, mode: 0o600)
        var loader = ConfigurationLoader()
        loader.allowVolatileState = true
        return try loader.load(path: directory.appendingPathComponent("node.yaml").path)
    }

    private func problems(_ yaml: String) throws -> [ConfigurationProblem] {
        do {
            _ = try load(yaml)
            return []
        } catch let error as ConfigurationProblems {
            return error.problems
        }
    }

    private let head = "node: a\nprivateKeyFile: node.key\nstateDirectory: /var/lib/x\n"
    private let network = "networks:\n  - vni: 42\n    addresses: [10.98.0.1/24]\n"

    private func peer(_ key: String = StaticKeyPair().publicKey.base64) -> String {
        "peers:\n  - name: b\n    publicKey: \"\(key)\"\n    endpoint: \"192.0.2.2:47890\"\n    networks: [42]\n"
    }

    @Test("the least configuration, with product.md's defaults")
    func defaults() throws {
        let configuration = try load(head + network + peer())
        #expect(configuration.listen.map(\.description) == ["0.0.0.0:47890"])
        #expect(configuration.adminSocket == "/run/vxseal/a.sock")
        #expect(configuration.metrics == nil)
        #expect(configuration.networks[0].mode == .sealed && configuration.networks[0].device == "vxs42")
        #expect(configuration.networks[0].fdbLimit == 16_384)
        #expect(configuration.networks[0].bumRate == 2000 && configuration.networks[0].flood == .all)
        #expect(configuration.peers[0].roaming)
        #expect(configuration.lanes == nil && configuration.sourcePorts == .lanes && configuration.lanePorts.isEmpty)
    }

    @Test("link-local endpoints name an interface of this machine, and keep its name")
    func linkLocal() throws {
        let peer = peer().replacingOccurrences(of: "192.0.2.2:47890", with: "[fe80::2%lo]:47890")
        let configuration = try load(head + "listen: \"[fe80::1%1]:47890\"\n" + network + peer)
        let endpoint = try #require(configuration.peers[0].endpoint)
        #expect(endpoint.scope == 1 && endpoint.configured == "[fe80::2%lo]:47890", "loopback is the first interface")
        #expect(configuration.yaml.contains("listen: [\"[fe80::1%lo]:47890\"]"))
        for text in ["[fe80::2]:1", "[fe80::2%nowhere]:1", "[::ffff:192.0.2.2]:1", "[fd00::2%lo]:1", "[fe80::2%]:1"] {
            #expect(Endpoint(configured: text) == nil, "\(text)")
        }
    }

    @Test("a mixed network takes both kinds of peers, but not both at one address; a relay needs no device")
    func mixed() throws {
        let network = "networks:\n  - {vni: 42, mode: mixed, relay: true}\n"
        let plaintext = { (host: String) in
            "  - {name: leaf, plaintext: true, endpoint: \"\(host):4789\", networks: [42]}\n"
        }
        let configuration = try load(head + network + peer() + plaintext("192.0.2.9"))
        #expect(configuration.networks[0].relay && !configuration.networks[0].hasDevice)
        #expect(!configuration.yaml.contains("device:"))
        let withBridge = network.replacingOccurrences(of: "relay: true", with: "relay: true, bridge: br0")
        #expect(try load(head + withBridge + peer()).networks[0].hasDevice)
        let found = try problems(head + network + peer() + plaintext("192.0.2.2"))
        #expect(found.contains { $0.what.contains("at the same address in the same mixed network") })
    }

    @Test("VLAN tags are numbers, ranges and the word untagged, and DSCP may be hidden")
    func tags() throws {
        let network = "networks:\n  - {vni: 1, copyDscp: false, vlan: [untagged, 7, 100-102, 101]}\n"
        let configuration = try load(head + network)
        #expect(configuration.networks[0].vlans == [0, 7, 100, 101, 102] && !configuration.networks[0].copyDscp)
        #expect(configuration.yaml.contains("vlan: [untagged, 7, 100-102]"))
        let again = try load(configuration.yaml).networks
        #expect(again == configuration.networks)
        let defaults = try load(head + self.network).networks[0]
        #expect(defaults.vlans == nil && defaults.copyDscp)
    }

    @Test("a bridge may hold a sealed and a plaintext network where the sealed one says so")
    func mixedBridge() throws {
        let sealed = "networks:\n  - {vni: 1, bridge: br0, allowMixedBridge: true}\n"
        let configuration = try load(head + sealed + "  - {vni: 2, mode: plaintext, bridge: br0}\n")
        #expect(configuration.networks.map(\.allowMixedBridge) == [true, false])
        #expect(configuration.yaml.contains("allowMixedBridge: true"))
    }

    @Test("the effective configuration loads to itself")
    func roundTrip() throws {
        for lanes in [
            "", "lanes: 3\nlanePorts: [1001, 1002]\n", "lanes: auto\nsourcePorts: fixed\n", "busyPoll: 50us\n",
            "sandbox: off\n",
            "metrics: \"[::1]:9472\"\n",
        ] {
            let first = try load(head + lanes + network + peer()).yaml
            let second = try load(first).yaml
            #expect(first == second)
        }
    }

    @Test("every fault is found on its line, with a mend")
    func faults() throws {
        let faults: [(String, Int, String)] = [
            (head + network + "lissten: x\n", 7, "unknown key `lissten`"),
            (head + network + "metrics: 9472\n", 7, "metrics `9472` cannot be read"),
            (head + network + "metrics: \"127.0.0.1:0\"\n", 7, "metrics `127.0.0.1:0` cannot be read"),
            (head + "networks:\n  - vni: 16777216\n", 5, "networks[0].vni"),
            (head + "networks:\n  - vni: 1\n  - vni: 1\n    device: y\n", 6, "VNI `1` stands twice"),
            (head + "networks:\n  - vni: 1\n    mtu: 100000\n", 6, "networks[0].mtu"),
            (head + "networks:\n  - vni: 1\n    device: a-name-of-16-byte\n", 6, "no device name"),
            (head + "networks:\n  - vni: 1\n    mode: half\n", 6, "networks[0].mode"),
            (head + "networks:\n  - vni: 1\n    fdbLimit: 15\n", 6, "networks[0].fdbLimit"),
            (head + "networks:\n  - vni: 1\n    bumRate: 0\n", 6, "networks[0].bumRate"),
            (head + "networks:\n  - vni: 1\n    flood: some\n", 6, "networks[0].flood"),
            (head + "networks:\n  - vni: 1\n    relay: true\n", 6, "only a mixed network"),
            (head + "networks:\n  - vni: 1\n    bridge: a/b\n", 6, "`a/b` is no device name"),
            (
                head + "networks:\n  - vni: 1\n    bridge: br0\n    addresses: [10.0.0.1/24]\n", 7,
                "addresses of a bridge's port"
            ),
            (
                head + "networks:\n  - {vni: 1, bridge: br0}\n  - {vni: 2, mode: plaintext, bridge: br0}\n", 5,
                "the bridge of the sealed VNI 1 also holds VNI 2"
            ),
            (head + "networks:\n  - vni: 1\n    vlan: [10, 4095]\n", 6, "an item of networks[0].vlan"),
            (head + "networks:\n  - vni: 1\n    vlan: [20-10]\n", 6, "an item of networks[0].vlan"),
            (head + "networks:\n  - vni: 1\n    vlan: []\n", 6, "no frame would pass"),
            (head + "cipher: aes\n" + network, 4, "cipher `aes` cannot be read"),
            (head + "sandbox: maybe\n" + network, 4, "sandbox `maybe` cannot be read"),
            (head + "lanes: 17\n" + network, 4, "lanes is no number from 1 to 16"),
            (head + "busyPoll: 50ms\n" + network, 4, "busyPoll `50ms` cannot be read"),
            (head + "busyPoll: 1001us\n" + network, 4, "busyPoll"),
            (head + "sourcePorts: random\n" + network, 4, "sourcePorts"),
            (head + "lanePorts: [1000]\n" + network, 4, "need a fixed number of lanes"),
            (head + "lanes: 3\nlanePorts: [1000]\n" + network, 5, "not as many"),
            (head + "lanes: 3\nlanePorts: [1000, 1000]\n" + network, 5, "stands twice"),
            (head + "lanes: 2\nlanePorts: [47890]\n" + network, 5, "this node listens on"),
            (head + "lanes: 2\nsourcePorts: fixed\nlanePorts: [1000]\n" + network, 6, "not used with"),
            (head + "lanes: 2\nlanePorts: [0]\n" + network, 5, "lanePorts cannot be read"),
            (head + network + peer("AAAA"), 9, "publicKey"),
            (head + network + peer() + "    presharedKeyFile: missing.psk\n", 12, "cannot be read"),
            (head + "networks:\n  - vni: 7\n" + peer(), 10, "no network with VNI 42"),
            ("node: a\nstateDirectory: /x\n" + network, 1, "privateKeyFile is missing"),
            (head + "networks: [\n", 5, "no valid YAML"),
        ]
        for (yaml, line, words) in faults {
            let found = try problems(yaml)
            let hit = found.contains { $0.what.contains(words) && (line == $0.line || words.contains("YAML")) }
            #expect(hit, "\(words) on line \(line) in:\n\(yaml)\nfound: \(found)")
            #expect(found.allSatisfy { !$0.mend.isEmpty })
        }
    }

    @Test(
        "a named cipher is taken where it is there, refused on its line with a mend where it is not",
        arguments: BulkCipher.Provider.allCases
    )
    func cipher(provider: BulkCipher.Provider) throws {
        let yaml = head + "cipher: \(provider)\n" + network + peer()
        guard let refusal = provider.refusal else {
            #expect(try load(yaml).cipher == provider)
            #expect(try load(load(yaml).yaml).cipher == provider)
            return
        }
        let found = try problems(yaml)
        #expect(found.count == 1 && found[0].line == 4 && found[0].what.contains(refusal.what))
        #expect(found[0].mend == refusal.mend)
    }

    @Test("the sandbox is on unless it is switched off")
    func sandbox() throws {
        #expect(try load(head + network).isSandboxed)
        #expect(try load(head + "sandbox: auto\n" + network).isSandboxed)
        #expect(try !load(head + "sandbox: off\n" + network).isSandboxed)
    }

    @Test("cipher: auto, and no word of it, leave the choice to the daemon")
    func cipherAuto() throws {
        #expect(try load(head + "cipher: auto\n" + network + peer()).cipher == nil)
        #expect(try load(head + network + peer()).cipher == nil)
    }

    private let allow =
        "    allow:\n      macs: [\"02:00:00:00:00:07\"]\n      prefixes: [10.98.0.0/24, \"fd00::/64\"]\n"

    @Test("flood, bumRate and neighborSuppression, and that they load again as they are")
    func flooding() throws {
        let configuration = try load(head + network + "    flood: none\n    bumRate: unlimited\n" + peer())
        #expect(configuration.networks[0].flood == .none && configuration.networks[0].bumRate == nil)
        #expect(try load(configuration.yaml).networks == configuration.networks)
        let entries = "    fdb: [{mac: \"02:00:00:00:00:07\", peer: b, addresses: [10.98.0.7, \"fd00::7\"]}]\n"
        let known = try load(head + network + "    neighborSuppression: false\n" + entries + peer())
        #expect(!known.networks[0].neighborSuppression && configuration.networks[0].neighborSuppression)
        #expect(known.networks[0].fdb[0].addresses.map(\.description) == ["10.98.0.7", "fd00::7"])
        #expect(try load(known.yaml).networks == known.networks)
        let twice = try problems(head + network + entries.replacing("fd00::7", with: "10.98.0.7") + peer())
        #expect(twice.count == 1 && twice[0].line == 7 && twice[0].what.contains("10.98.0.7"))
        #expect(try load(head + network + "    bumRate: 50\n" + peer()).networks[0].bumRate == 50)
    }

    @Test("allow: what a peer may claim to be, and router: false unless it says otherwise")
    func allowance() throws {
        let bound = try load(head + network + peer() + allow)
        #expect(bound.peers[0].allow?.macs == [MACAddress(0x0200_0000_0007)])
        #expect(bound.peers[0].allow?.prefixes.map(\.description) == ["10.98.0.0/24", "fd00::/64"])
        #expect(bound.peers[0].allow?.router == false)
        #expect(try load(bound.yaml).peers[0].allow == bound.peers[0].allow)
        #expect(try load(head + network + peer() + allow + "      router: true\n").peers[0].allow?.router == true)
        #expect(try load(head + network + peer()).peers[0].allow == nil)
    }

    @Test("allow: a MAC address of two peers is refused on both lines; static entries agree with it")
    func allowanceConflicts() throws {
        let second = peer().replacing("peers:\n", with: "").replacing("name: b", with: "name: c")
            .replacing("192.0.2.2", with: "192.0.2.3")
        let twice = try problems(head + network + peer() + allow + second + allow)
        #expect(twice.map(\.line) == [13, 20])
        #expect(twice[0].what.contains("`c` (line 20)") && twice[1].what.contains("`b` (line 13)"))
        for (text, words) in [
            ("macs: [\"01:00:00:00:00:07\"]", "allow.macs cannot be read"),
            ("prefixes: [10.98.0.1/24]", "prefixes cannot"),
            ("router: maybe", "neither true nor false"), ("mac: []", "unknown key"),
        ] {
            let found = try problems(head + network + peer() + "    allow:\n      \(text)\n")
            #expect(found.contains { $0.what.contains(words) && $0.line == 13 }, "\(text): \(found)")
        }
        for (mac, peer, words) in [
            ("02:00:00:00:00:07", "c", "is b's by its allow.macs"),
            ("02:00:00:00:00:08", "b", "is not in allow.macs of `b`"),
        ] {
            let entry = "    fdb: [{mac: \"\(mac)\", peer: \(peer)}]\n"
            let found = try problems(head + network + entry + self.peer() + allow + second)
            #expect(found.count == 1 && found[0].what.contains(words) && found[0].line == 7, "\(found)")
        }
    }

    @Test("all faults at once, sorted by line")
    func together() throws {
        let found = try problems("node: a\nx: 1\ny: 2\nnetworks:\n  - vni: -1\n")
        #expect(found.count >= 5)
        #expect(found.map(\.line) == found.map(\.line).sorted())
    }

    @Test("a key file that others may read is refused")
    func looseKey() throws {
        try write("node.key", StaticKeyPair().withBase64 { $0 }, mode: 0o644)
        let found = try problems(head + network + peer())
        #expect(found.contains { $0.what.contains("can be read by others") && $0.mend.contains("chmod 600") })
    }

    @Test("the examples load, and only when example keys are allowed")
    func examples() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        for name in [
            "two-nodes/node-a", "two-nodes/node-b", "plaintext-peer/node-a", "bound-peers/node-a", "bound-peers/node-b",
        ] {
            let path = root.appendingPathComponent("Configs/\(name).yaml").path
            var loader = ConfigurationLoader()
            loader.allowVolatileState = true
            #expect(throws: ConfigurationProblems.self) { try loader.load(path: path) }
            loader.allowExampleKeys = true
            #expect(try loader.load(path: path).networks.isEmpty == false)
        }
    }

    @Test("mutated files never trap")
    func mutations() throws {
        let good = Array((head + network + peer()).utf8)
        var state: UInt64 = 11
        for _ in 0..<400 {
            var bytes = good
            for _ in 0..<4 {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            try Data(bytes).write(to: directory.appendingPathComponent("mutated.yaml"))
            let path = directory.appendingPathComponent("mutated.yaml").path
            do {
                _ = try ConfigurationLoader().load(path: path)
            } catch {
                #expect(!error.problems.isEmpty)
            }
        }
    }
}
