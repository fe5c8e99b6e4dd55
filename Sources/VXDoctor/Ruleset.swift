import Foundation
import VXConfig

/// What `nft -j list ruleset` prints (libnftables-json(5)), as far as it is looked at: chains with their rules, and named sets.
struct Ruleset {
    /// A chain.
    struct Chain {
        let family: String
        let table: String
        let name: String
        /// Nil for a chain that others jump to.
        let hook: String?
        let policy: String?
        /// Of iptables-legacy, which the kernel keeps apart from nftables.
        var isLegacy = false
        var rules: [Rule] = []

        /// As nft's commands want it, or those of iptables-legacy.
        var place: String {
            isLegacy
                ? "\(family == "ip6" ? "ip6" : "ip")tables-legacy -t \(table) \(name)" : "\(family) \(table) \(name)"
        }
    }

    /// A rule: its handle, or its number in a legacy chain, and its conditions and statements in their order.
    struct Rule {
        let handle: Int
        let expressions: [JSONValue]
    }

    private(set) var chains: [Chain] = []
    private var sets: [String: JSONValue] = [:]

    /// Nil for what is no ruleset; what is not understood of one is left out.
    init?(json: String) {
        guard let root = try? JSONDecoder().decode(JSONValue.self, from: Data(json.utf8)),
            let items = root["nftables"]?.list
        else { return nil }
        for item in items {
            if let chain = item["chain"], let names = Self.names(chain), let name = chain["name"]?.text {
                chains.append(
                    Chain(
                        family: names.family,
                        table: names.table,
                        name: name,
                        hook: chain["hook"]?.text,
                        policy: chain["policy"]?.text
                    )
                )
            } else if let rule = item["rule"], let names = Self.names(rule), let expressions = rule["expr"]?.list,
                let place = chains.firstIndex(where: {
                    $0.family == names.family && $0.table == names.table && $0.name == rule["chain"]?.text
                })
            {
                chains[place].rules.append(Rule(handle: rule["handle"]?.number ?? 0, expressions: expressions))
            } else if let set = item["set"], let names = Self.names(set), let name = set["name"]?.text {
                sets["\(names.family) \(names.table) @\(name)"] = set["elem"] ?? .list([])
            }
        }
    }

    private static func names(_ object: JSONValue) -> (family: String, table: String)? {
        guard let family = object["family"]?.text, let table = object["table"]?.text else { return nil }
        return (family, table)
    }

    /// No rules at all.
    init() {}

    /// Those of iptables-legacy as well, which a packet passes too.
    mutating func add(_ legacy: LegacyRules) { chains += legacy.chains }

    /// The elements of a set that a chain names as `@NAME`; nil for a map.
    func set(_ name: String, of chain: Chain) -> JSONValue? { sets["\(chain.family) \(chain.table) \(name)"] }

    /// The chain that another one jumps to.
    func chain(_ name: String, beside chain: Chain) -> Chain? {
        chains.first {
            $0.isLegacy == chain.isLegacy && $0.family == chain.family && $0.table == chain.table && $0.name == name
        }
    }

    /// Whether some rule keeps connection tracking away from a port.
    func leavesUntracked(port: Int) -> Bool {
        chains.contains { chain in
            chain.rules.contains { rule in
                rule.expressions.contains { $0.has("notrack") }
                    && rule.expressions.contains { $0["match"]?["right"]?.number == port }
            }
        }
    }
}
