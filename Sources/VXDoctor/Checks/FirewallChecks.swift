import Foundation
import VXConfig
import VXWire

/// Rules of nftables, which iptables-nft writes as well, that drop what the node sends or is sent.
enum FirewallChecks {
    static func run(_ node: Examination) -> [Finding] {
        guard let text = node.host.run("nft", ["-j", "list", "ruleset"]),
            let ruleset = try? JSONDecoder().decode(Ruleset.self, from: Data(text.utf8))
        else { return [] }
        let sealed = node.configuration.sealedEndpoints.map { Int($0.port) }
        let plaintext =
            node.configuration.hasPlaintext ? node.configuration.plaintextEndpoints.map { Int($0.port) } : []
        let own = FirewallScript(node.configuration).table
        return ruleset.rules.filter { $0.table != own && $0.isDropping }.flatMap { rule in
            ports(rule, Set(sealed + plaintext)) + devices(rule, node.ownDevices)
        } + policies(ruleset, Set(sealed + plaintext), own)
    }

    private static func ports(_ rule: Ruleset.Rule, _ ports: Set<Int>) -> [Finding] {
        rule.udpPorts.intersection(ports).sorted().map { port in
            Finding(
                .error,
                "firewall.port",
                .firewall,
                "a rule drops UDP port \(port): \(rule.place)",
                why: "sealed datagrams do not come in, or do not leave",
                mend: "nft delete rule \(rule.family) \(rule.table) \(rule.chain) handle \(rule.handle)"
            )
        }
    }

    private static func devices(_ rule: Ruleset.Rule, _ devices: Set<String>) -> [Finding] {
        rule.devices.intersection(devices).sorted().map { device in
            Finding(
                .warning,
                "firewall.device",
                .firewall,
                "a rule drops packets of the device \(device): \(rule.place)",
                why: "stations are not reached, though sessions stand",
                mend:
                    "nft list chain \(rule.family) \(rule.table) \(rule.chain); delete it by its handle \(rule.handle)"
            )
        }
    }

    /// An input chain that drops by default must have a rule that lets the port in.
    private static func policies(_ ruleset: Ruleset, _ ports: Set<Int>, _ own: String) -> [Finding] {
        ruleset.chains.filter { $0.hook == "input" && $0.policy == "drop" && $0.table != own }.flatMap { chain in
            // What is let in by another way than its port (an interface, a set, another chain) is not seen through.
            let rules = ruleset.rules.filter { $0.table == chain.table && $0.family == chain.family && $0.isAccepting }
            return ports.filter { port in !rules.contains { $0.udpPorts.contains(port) } }.sorted().map { port in
                Finding(
                    .warning,
                    "firewall.policy",
                    .firewall,
                    "the input chain \(chain.family) \(chain.table) \(chain.name) drops by default, and names no UDP port \(port)",
                    why: "unless another of its rules lets them in, datagrams of peers are dropped",
                    mend: "nft add rule \(chain.family) \(chain.table) \(chain.name) udp dport \(port) accept"
                )
            }
        }
    }
}

/// What `nft -j list ruleset` prints (libnftables-json(5)), as far as it is looked at.
private struct Ruleset: Decodable {
    struct Chain: Decodable {
        let family: String
        let table: String
        let name: String
        let hook: String?
        let policy: String?
    }

    struct Rule {
        let family: String
        let table: String
        let chain: String
        let handle: Int
        let isDropping: Bool
        let isAccepting: Bool
        let udpPorts: Set<Int>
        let devices: Set<String>

        var place: String { "\(family) \(table) \(chain), handle \(handle)" }
    }

    let chains: [Chain]
    let rules: [Rule]

    init(from decoder: any Decoder) throws {
        let objects = try decoder.container(keyedBy: Key.self).decode([Entry].self, forKey: Key("nftables"))
        chains = objects.compactMap(\.chain)
        rules = objects.compactMap(\.rule)
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    private struct Entry: Decodable {
        let chain: Chain?
        let rule: Rule?

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            chain = try? container.decode(Chain.self, forKey: Key("chain"))
            guard let raw = try? container.nestedContainer(keyedBy: Key.self, forKey: Key("rule")),
                let expressions = try? raw.decode([Value].self, forKey: Key("expr"))
            else {
                rule = nil
                return
            }
            func text(_ name: String) -> String { (try? raw.decode(String.self, forKey: Key(name))) ?? "?" }
            let isUDP = expressions.contains { $0["match"]?["left"]?["payload"]?["protocol"]?.text == "udp" }
            let matches = expressions.compactMap { $0["match"] }
            let ports = matches.filter { match in
                let field = match["left"]?["payload"]
                return ["sport", "dport"].contains(field?["field"]?.text)
                    && ["udp", "th"].contains(field?["protocol"]?.text)
                    && match["op"]?.text == "=="
            }
            let devices = matches.filter { match in
                ["iif", "oif", "iifname", "oifname"].contains(match["left"]?["meta"]?["key"]?.text)
                    && match["op"]?.text == "=="
            }
            rule = Rule(
                family: text("family"),
                table: text("table"),
                chain: text("chain"),
                handle: (try? raw.decode(Int.self, forKey: Key("handle"))) ?? 0,
                isDropping: expressions.contains { $0.has("drop") || $0.has("reject") },
                isAccepting: expressions.contains { $0.has("accept") },
                udpPorts: isUDP || !ports.isEmpty ? Set(ports.flatMap { $0["right"]?.numbers ?? [] }) : [],
                devices: Set(devices.flatMap { $0["right"]?.texts ?? [] })
            )
        }
    }

    /// Any JSON.
    private indirect enum Value: Decodable {
        case text(String)
        case number(Int)
        case list([Value])
        case object([String: Value])
        case other

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .text(text)
            } else if let number = try? container.decode(Int.self) {
                self = .number(number)
            } else if let list = try? container.decode([Value].self) {
                self = .list(list)
            } else if let object = try? container.decode([String: Value].self) {
                self = .object(object)
            } else {
                self = .other
            }
        }

        subscript(name: String) -> Value? { if case .object(let object) = self { object[name] } else { nil } }
        func has(_ name: String) -> Bool {
            if case .object(let object) = self { object.keys.contains(name) } else { false }
        }
        var text: String? { if case .text(let text) = self { text } else { nil } }

        /// Numbers of a value, a set or a range.
        var numbers: [Int] {
            switch self {
            case .number(let number): [number]
            case .list(let list): list.flatMap(\.numbers)
            case .object(let object):
                if case .list(let ends)? = object["range"], let first = ends.first?.numbers.first,
                    let last = ends.last?.numbers.first, first <= last
                {
                    Array(first...last)
                } else {
                    object["set"]?.numbers ?? []
                }
            case .text, .other: []
            }
        }

        /// Texts of a value or a set.
        var texts: [String] {
            switch self {
            case .text(let text): [text]
            case .list(let list): list.flatMap(\.texts)
            case .object(let object): object["set"]?.texts ?? []
            case .number, .other: []
            }
        }
    }
}
