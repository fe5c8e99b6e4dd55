import VXConfig
import VXWire

/// Walks a packet through a ruleset, to say whether it is surely dropped.
///
/// Each condition fits the packet, does not, or cannot be told. Where a rule that accepts cannot be told, the packet is taken to pass,
/// and a rule that drops and cannot be told is left out: whatever is reported is certain. What iptables-nft writes is seen, for nftables
/// shows it; what iptables-legacy writes, where `LegacyRules` were added.
struct PacketFilter {
    /// What is known of a packet; nil for what may be anything.
    struct Packet {
        /// The hooks that it passes, in their order: `prerouting`, `input`.
        var hooks: [String]
        var isIPv6: Bool
        /// `udp`.
        var transport: String?
        var sourcePort: Int?
        var destinationPort: Int?
        var source: IPAddress?
        var destination: IPAddress?
        /// The names of the devices that it comes in and goes out by.
        var incoming: String?
        var outgoing: String?
    }

    /// Where a packet ends.
    struct Drop: Equatable {
        /// `inet filter input`.
        let chain: String
        /// The rule's handle, its number in a legacy chain; nil for the chain's policy.
        let handle: Int?
        /// Of iptables-legacy.
        let isLegacy: Bool

        init(_ chain: Ruleset.Chain, handle: Int?) {
            self.chain = chain.place
            self.handle = handle
            isLegacy = chain.isLegacy
        }

        /// The rule, or the chain.
        var place: String { handle.map { "\(chain), \(isLegacy ? "rule" : "handle") \($0)" } ?? chain }

        /// The command that puts a rule before all others which accepts what fits a condition.
        func acceptance(nft: String, iptables: String) -> String {
            guard isLegacy else { return "nft insert rule \(chain) \(nft) accept" }
            return "\(command("-I")) \(iptables) -j ACCEPT"
        }

        /// The command that takes the rule away.
        func removal(of handle: Int) -> String {
            isLegacy ? "\(command("-D")) \(handle)" : "nft delete rule \(chain) handle \(handle)"
        }

        private func command(_ option: String) -> String {
            let words = chain.split(separator: " ")
            return (words.dropLast() + [option[...], words.last ?? ""]).joined(separator: " ")
        }
    }

    private enum Answer { case yes, no, unknown }

    private enum Verdict {
        case dropped(Drop), passed, goesOn
        /// Back to the chain that jumped here.
        case returned
    }

    /// A connection's first packet, or one that is not tracked: neither is `established`.
    private static let states = ["new", "untracked"]
    /// NFT_JUMP_STACK_SIZE of the kernel.
    private static let deepest = 16

    let ruleset: Ruleset

    /// Where a packet is surely dropped; nil if it may pass.
    func drop(of packet: Packet) -> Drop? {
        let family = packet.isIPv6 ? "ip6" : "ip"
        for hook in packet.hooks {
            for chain in ruleset.chains
            where chain.hook == hook && (chain.family == "inet" || chain.family == family) {
                switch walk(chain, packet, depth: 0) {
                case .dropped(let drop): return drop
                case .passed: continue
                case .goesOn, .returned: if chain.policy == "drop" { return Drop(chain, handle: nil) }
                }
            }
        }
        return nil
    }

    private func walk(_ chain: Ruleset.Chain, _ packet: Packet, depth: Int) -> Verdict {
        guard depth < Self.deepest else { return .passed }
        for rule in chain.rules {
            var isCertain = true
            conditions: for expression in rule.expressions {
                if let match = expression["match"] {
                    switch fit(match, packet, chain) {
                    case .yes: continue
                    case .unknown: isCertain = false
                    case .no: break conditions
                    }
                } else if let verdict = verdict(expression, rule, chain, packet, depth: depth) {
                    switch verdict {
                    case .dropped where isCertain: return verdict
                    case .dropped, .goesOn: continue
                    case .passed: return .passed
                    case .returned: return isCertain ? .returned : .passed
                    }
                } else if !Self.decidesNothing(expression) {
                    isCertain = false
                }
            }
        }
        return .goesOn
    }

    private static func decidesNothing(_ statement: JSONValue) -> Bool {
        ["counter", "log", "mangle", "notrack", "xt_comment"].contains(where: statement.has)
    }

    /// What a statement says of the packet; nil for one that is none of verdicts.
    private func verdict(
        _ statement: JSONValue,
        _ rule: Ruleset.Rule,
        _ chain: Ruleset.Chain,
        _ packet: Packet,
        depth: Int
    ) -> Verdict? {
        if statement.has("drop") || statement.has("reject") {
            return .dropped(Drop(chain, handle: rule.handle))
        }
        if statement.has("accept") || statement.has("queue") { return .passed }
        if statement.has("continue") { return .goesOn }
        if statement.has("return") { return .returned }
        if let map = statement["vmap"] { return pick(map, rule, chain, packet, depth: depth) }
        for word in ["jump", "goto"] {
            guard let target = statement[word]?["target"]?.text else { continue }
            guard let next = ruleset.chain(target, beside: chain) else { return .passed }
            switch (walk(next, packet, depth: depth + 1), word) {
            case (.dropped(let drop), _): return .dropped(drop)
            case (.passed, _): return .passed
            case (_, "jump"): return .goesOn
            // Behind a goto the rest of this chain has no part.
            default: return .returned
            }
        }
        return nil
    }

    /// The verdict of the first pair of a map that the packet fits.
    private func pick(
        _ map: JSONValue,
        _ rule: Ruleset.Rule,
        _ chain: Ruleset.Chain,
        _ packet: Packet,
        depth: Int
    ) -> Verdict {
        guard let pairs = map["data"]?["set"]?.list else { return .passed }
        var isCertain = true
        for pair in pairs {
            guard let pair = pair.list, pair.count == 2 else { return .passed }
            let answer = fit(map["key"], pair[0], packet, chain)
            guard answer != .no else { continue }
            guard let verdict = verdict(pair[1], rule, chain, packet, depth: depth) else { return .passed }
            if answer == .yes, isCertain { return verdict }
            if case .dropped = verdict {} else { return .passed }
            isCertain = false
        }
        return .goesOn
    }

    private func fit(_ match: JSONValue, _ packet: Packet, _ chain: Ruleset.Chain) -> Answer {
        let answer = fit(match["left"], match["right"], packet, chain)
        switch match["op"]?.text {
        case "==", "in": return answer
        case "!=": return answer == .yes ? .no : answer == .no ? .yes : .unknown
        default: return .unknown
        }
    }

    private func fit(_ left: JSONValue?, _ right: JSONValue?, _ packet: Packet, _ chain: Ruleset.Chain) -> Answer {
        func compare(_ value: String?) -> Answer { value.map { holds(right, $0, chain) } ?? .unknown }
        if let key = left?["meta"]?["key"]?.text {
            switch key {
            case "l4proto": return compare(packet.transport)
            case "nfproto": return compare(packet.isIPv6 ? "ipv6" : "ipv4")
            case "protocol": return compare(packet.isIPv6 ? "ip6" : "ip")
            case "iifname", "iif": return compare(packet.incoming)
            case "oifname", "oif": return compare(packet.outgoing)
            default: return .unknown
            }
        }
        if left?["ct"]?["key"]?.text == "state" {
            let answers = Self.states.map { holds(right, $0, chain) }
            return answers.allSatisfy { $0 == .no } ? .no : answers.allSatisfy { $0 == .yes } ? .yes : .unknown
        }
        guard let header = left?["payload"]?["protocol"]?.text, let field = left?["payload"]?["field"]?.text else {
            return .unknown
        }
        switch (header, field) {
        case ("ip", _) where packet.isIPv6, ("ip6", _) where !packet.isIPv6: return .no
        case ("ip", "protocol"), ("ip6", "nexthdr"): return compare(packet.transport)
        case ("ip", "saddr"), ("ip6", "saddr"): return compare(packet.source.map { "\($0)" })
        case ("ip", "daddr"), ("ip6", "daddr"): return compare(packet.destination.map { "\($0)" })
        case ("udp", "sport"), ("udp", "dport"), ("th", "sport"), ("th", "dport"):
            guard let transport = packet.transport else { return .unknown }
            guard header == "th" || header == transport else { return .no }
            return compare((field == "sport" ? packet.sourcePort : packet.destinationPort).map { "\($0)" })
        case ("tcp", _), ("udp", _), ("icmp", _), ("icmpv6", _), ("sctp", _), ("dccp", _):
            guard let transport = packet.transport else { return .unknown }
            return transport == header ? .unknown : .no
        default: return .unknown
        }
    }

    /// Whether a value, a set, a range or a prefix has it.
    private func holds(_ right: JSONValue?, _ value: String, _ chain: Ruleset.Chain) -> Answer {
        switch right {
        case .number(let number): return "\(number)" == value ? .yes : .no
        case .text(let text):
            if text.hasPrefix("@") {
                guard let set = ruleset.set(text, of: chain) else { return .unknown }
                return holds(set, value, chain)
            }
            // Of a device's name the beginning may stand there.
            if text.hasSuffix("*") { return value.hasPrefix(text.dropLast()) ? .yes : .no }
            return text == value ? .yes : .no
        case .list(let list):
            let answers = list.map { holds($0, value, chain) }
            return answers.contains(.yes) ? .yes : answers.contains(.unknown) ? .unknown : .no
        case .object(let object):
            if let set = object["set"] { return holds(set, value, chain) }
            if let element = object["elem"] { return holds(element["val"], value, chain) }
            if let prefix = object["prefix"], let address = prefix["addr"]?.text, let length = prefix["len"]?.number {
                guard let network = IPPrefix("\(address)/\(length)"), let value = IPAddress(value) else {
                    return .unknown
                }
                return network.contains(value) ? .yes : .no
            }
            if let ends = object["range"]?.list, let low = ends.first?.number, let high = ends.last?.number,
                let number = Int(value)
            {
                return low <= number && number <= high ? .yes : .no
            }
            return .unknown
        case .flag, .null, .other, nil: return .unknown
        }
    }
}
