import Foundation
import Testing
import VXCrypto
import VXWire

@testable import VXConfig

/// The rules' text; firewall.sh loads them.
@Suite struct FirewallScriptTests {
    private func script(_ mode: NetworkConfiguration.Mode, _ peers: [PeerConfiguration]) throws -> String {
        let network = NetworkConfiguration(
            vni: VNI(truncating: 42),
            device: "vxs42",
            mode: mode,
            addresses: [],
            allowMixedBridge: false,
            vlanHeadroom: 0,
            learning: true,
            forwardLinkLocal: false,
            copyDscp: true,
            fdb: [],
            fdbLimit: 64,
            flood: .all,
            neighborSuppression: false
        )
        let configuration = NodeConfiguration(
            node: "a",
            privateKeyFile: "",
            identity: StaticKeyPair(),
            stateDirectory: "",
            listen: [try #require(Endpoint("0.0.0.0:47890"))],
            plaintextListen: [try #require(Endpoint("0.0.0.0:4789"))],
            firewallMark: 0,
            lanes: 1,
            sourcePorts: .lanes,
            lanePorts: [],
            busyPoll: .seconds(0),
            adminSocket: "",
            offloads: OffloadConfiguration(),
            networks: [network],
            peers: peers
        )
        return FirewallScript(configuration).text
    }

    private func peer(_ name: String, isSealed: Bool, at endpoint: String, roaming: Bool = false) -> PeerConfiguration {
        PeerConfiguration(
            name: name,
            sealed: isSealed ? .init(publicKey: StaticKeyPair().publicKey, presharedKey: .none) : nil,
            endpoint: Endpoint(endpoint),
            roaming: roaming,
            acceptSuccessors: true,
            networks: [VNI(truncating: 42)]
        )
    }

    @Test("a name becomes a table's, and no two names become one")
    func names() {
        #expect(FirewallScript.table(of: "node-a") == "vxseal_node_a")
        let odd = ["node_a", "node.a", "node a", "node-a\n} ; flush ruleset", "", String(repeating: "n", count: 65)]
        let tables = odd.map(FirewallScript.table)
        #expect(Set(tables + ["vxseal_node_a"]).count == odd.count + 1)
        for table in tables {
            #expect(
                table.utf8.count < 100 && table.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            )
        }
    }

    @Test("strangers are kept from the sealed port only where no peer moves")
    func roaming() throws {
        let fixed = try script(.sealed, [peer("b", isSealed: true, at: "192.0.2.2:47890")])
        #expect(fixed.contains("192.0.2.2, # b") && fixed.contains("udp dport 47890 counter drop"))
        #expect(!fixed.contains("4789 ") && !fixed.contains("4789\n"))
        let moving = try script(.sealed, [peer("b", isSealed: true, at: "192.0.2.2:47890", roaming: true)])
        #expect(moving.contains("\n        udp dport 47890 counter accept") && !moving.contains("drop\n"))
    }

    @Test("plaintext in a keyed peer's name reaches the daemon's tripwire, a stranger's does not")
    func tripwire() throws {
        let peers = [
            peer("b", isSealed: true, at: "192.0.2.2:47890", roaming: true),
            peer("leaf", isSealed: false, at: "192.0.2.9:4789"),
        ]
        let text = try script(.mixed, peers)
        let input = try #require(text.components(separatedBy: "chain input").last)
        #expect(input.contains("192.0.2.2, # b") && input.contains("192.0.2.9, # leaf"))
        #expect(input.contains("udp dport 4789 counter drop"))
    }

    @Test("nothing of a name leaves its comment")
    func injection() throws {
        let text = try script(.plaintext, [peer("x\n} ; flush ruleset #\r", isSealed: false, at: "192.0.2.9:4789")])
        #expect(!text.split(separator: "\n").contains { $0.hasPrefix("} ;") })
        #expect(text.contains("# x?} ; flush ruleset #?"))
    }
}
