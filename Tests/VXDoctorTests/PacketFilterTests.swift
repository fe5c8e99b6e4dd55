import Testing
import VXWire

@testable import VXDoctor

/// What surely drops a packet; doctor.sh asks real rules.
@Suite struct PacketFilterTests {
    private func match(_ left: String, _ right: String, _ op: String = "==") -> String {
        #"{"match": {"op": "\#(op)", "left": \#(left), "right": \#(right)}}"#
    }

    private func field(_ header: String, _ name: String) -> String {
        #"{"payload": {"protocol": "\#(header)", "field": "\#(name)"}}"#
    }

    private let drop = #"{"drop": null}"#
    private let accept = #"{"accept": null}"#
    private var port: String { match(field("udp", "dport"), "47890") }

    /// An input chain of these rules, and another one, `other`, that it may jump to.
    private func dropped(_ rules: [[String]], policy: String = "accept", other: [[String]] = []) throws -> Bool {
        func items(_ chain: String, _ rules: [[String]]) -> [String] {
            rules.map {
                #"{"rule": {"family": "inet", "table": "t", "chain": "\#(chain)", "handle": 7, "expr": [\#($0.joined(separator: ","))]}}"#
            }
        }
        let chain = #"{"chain": {"family": "inet", "table": "t", "name""#
        let all =
            [
                #"{"set": {"family": "inet", "table": "t", "name": "friends", "elem": ["192.0.2.2"]}}"#,
                chain + #": "i", "hook": "input", "type": "filter", "policy": "\#(policy)"}}"#, chain + #": "other"}}"#,
            ] + items("i", rules) + items("other", other)
        let ruleset = try #require(Ruleset(json: #"{"nftables": [\#(all.joined(separator: ","))]}"#))
        let packet = PacketFilter.Packet(
            hooks: ["prerouting", "input"],
            isIPv6: false,
            transport: "udp",
            destinationPort: 47890,
            source: IPAddress("192.0.2.2"),
            incoming: "eth0"
        )
        return PacketFilter(ruleset: ruleset).drop(of: packet) != nil
    }

    @Test("a rule that fits drops; one that does not, or cannot be told, does not")
    func single() throws {
        #expect(try dropped([[port, drop]]))
        #expect(try dropped([[drop]]) && dropped([[#"{"reject": {"type": "icmp"}}"#]]))
        #expect(try !dropped([[match(field("udp", "dport"), "47891"), drop]]))
        #expect(try !dropped([[match(field("udp", "dport"), "47890", "!="), drop]]))
        #expect(try !dropped([[match(field("tcp", "dport"), "47890"), drop]]))
        #expect(try !dropped([[match(field("ip6", "saddr"), #""::1""#), drop]]))
        #expect(try !dropped([[port, #"{"limit": {"rate": 9, "per": "second"}}"#, drop]]))
        #expect(try !dropped([[match(field("udp", "sport"), "9"), drop]]))
        #expect(try !dropped([[match(field("udp", "dport"), "47890", "<"), drop]]))
    }

    @Test("values, sets, ranges, prefixes, named sets, and names of devices that begin alike")
    func values() throws {
        let source = field("ip", "saddr")
        #expect(try dropped([[match(field("th", "dport"), #"{"range": [47000, 47890]}"#), drop]]))
        #expect(try dropped([[match(field("udp", "dport"), #"{"set": [53, {"range": [47000, 48000]}]}"#), drop]]))
        #expect(try dropped([[match(source, #"{"prefix": {"addr": "192.0.2.0", "len": 24}}"#), drop]]))
        #expect(try !dropped([[match(source, #"{"prefix": {"addr": "203.0.113.0", "len": 24}}"#), drop]]))
        #expect(try dropped([[match(source, #""@friends""#), drop]]))
        #expect(try !dropped([[match(source, #""@friends""#, "!="), drop]]))
        #expect(try !dropped([[match(source, #""@unheard""#), drop]]))
        let device = #"{"meta": {"key": "iifname"}}"#
        #expect(try dropped([[match(device, #""eth*""#), drop]]) && !dropped([[match(device, #""wg*""#), drop]]))
    }

    @Test("what accepts before counts, and so does what may accept; answers to others' connections do not")
    func order() throws {
        let established = match(#"{"ct": {"key": "state"}}"#, #"["established", "related"]"#, "in")
        #expect(try !dropped([[port, accept], [drop]]))
        #expect(try dropped([[established, accept], [drop]]))
        #expect(try !dropped([[match(field("udp", "sport"), "9"), accept], [drop]]))
        #expect(try dropped([[established, accept]], policy: "drop"))
        #expect(try !dropped([[port, accept]], policy: "drop"))
    }

    @Test("jumps come back, gotos do not, maps of verdicts pick one")
    func jumps() throws {
        let jump = #"{"jump": {"target": "other"}}"#
        let goto = #"{"goto": {"target": "other"}}"#
        #expect(try dropped([[jump]], other: [[port, drop]]))
        #expect(try dropped([[jump], [drop]], other: [[#"{"return": null}"#], [accept]]))
        #expect(try !dropped([[jump], [drop]], other: [[accept]]))
        #expect(try !dropped([[goto], [drop]], other: []) && dropped([[goto]], policy: "drop", other: []))
        #expect(try !dropped([[#"{"jump": {"target": "nowhere"}}"#], [drop]]))
        // A chain that jumps to itself is no ruleset of the kernel's, but it ends.
        #expect(try !dropped([[jump], [drop]], other: [[jump]]))
        func map(_ pairs: String) -> String {
            #"{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [\#(pairs)]}}}"#
        }
        #expect(try dropped([[map(#"["lo", {"accept": null}], ["eth0", {"drop": null}]"#)]]))
        #expect(try !dropped([[map(#"["eth0", {"accept": null}]"#)], [drop]]))
        #expect(try dropped([[map(#"["lo", {"accept": null}]"#)], [drop]]))
        #expect(try dropped([[map(#"["eth0", {"jump": {"target": "other"}}]"#)]], other: [[drop]]))
    }
}
