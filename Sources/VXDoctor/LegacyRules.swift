import VXConfig

/// What `iptables-legacy-save` prints (iptables-save(8)), as chains of nftables, for which `PacketFilter` has the eyes. An option
/// that is not known here becomes a condition that cannot be told.
struct LegacyRules {
    private(set) var chains: [Ruleset.Chain] = []
    private let family: String
    private var table = ""

    private static let hooks = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
    private static let verdicts = [
        "ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return", "QUEUE": "queue",
        "NFQUEUE": "queue",
        "NOTRACK": "notrack",
    ]
    /// Targets behind which the packet goes on.
    private static let others: Set = [
        "CHECKSUM", "CLASSIFY", "CONNMARK", "CT", "DSCP", "LOG", "MARK", "NFLOG", "SET", "TCPMSS", "TOS", "TRACE",
    ]

    init(_ text: String, isIPv6: Bool) {
        family = isIPv6 ? "ip6" : "ip"
        for line in text.split(separator: "\n") {
            switch line.first {
            case "*": table = String(line.dropFirst())
            case ":": declare(line.dropFirst().split(separator: " "))
            case "-": add(Self.words(of: line))
            default: break
            }
        }
    }

    private mutating func declare(_ words: [Substring]) {
        guard words.count >= 2 else { return }
        let isBase = Self.hooks.contains(String(words[0]))
        chains.append(
            Ruleset.Chain(
                family: family,
                table: table,
                name: String(words[0]),
                hook: isBase ? words[0].lowercased() : nil,
                policy: isBase ? words[1].lowercased() : nil,
                isLegacy: true
            )
        )
    }

    private func place(of chain: String) -> Int? { chains.firstIndex { $0.table == table && $0.name == chain } }

    private mutating func add(_ words: [String]) {
        guard words.count >= 2, words[0] == "-A", let place = place(of: words[1]) else { return }
        var expressions: [JSONValue] = []
        var rest = words.dropFirst(2)
        var isNegated = false
        while let option = rest.popFirst() {
            if option == "!" {
                isNegated = true
                continue
            }
            // What is no option belongs to one that is not known.
            guard option.hasPrefix("-") else { continue }
            if option == "-j" || option == "-g" {
                expressions.append(verdict(rest.popFirst() ?? "", isGoto: option == "-g", options: rest))
                break
            }
            expressions += condition(option, &rest, isNegated: isNegated)
            isNegated = false
        }
        chains[place].rules.append(
            Ruleset.Rule(handle: chains[place].rules.count + 1, expressions: expressions)
        )
    }

    private func condition(_ option: String, _ rest: inout ArraySlice<String>, isNegated: Bool) -> [JSONValue] {
        func match(_ left: JSONValue, _ right: JSONValue) -> [JSONValue] {
            [.object(["match": .object(["op": .text(isNegated ? "!=" : "=="), "left": left, "right": right])])]
        }
        func meta(_ key: String) -> JSONValue { .object(["meta": .object(["key": .text(key)])]) }
        func field(_ header: String, _ name: String) -> JSONValue {
            .object(["payload": .object(["protocol": .text(header), "field": .text(name)])])
        }
        let unknown: [JSONValue] = [.object(["unknown": .text(option)])]
        switch option {
        case "-m", "--comment":
            _ = rest.popFirst()
            return []
        case "-p":
            guard let value = rest.popFirst() else { return unknown }
            return value == "all" ? [] : match(meta("l4proto"), .text(value))
        case "-i", "-o":
            guard let name = rest.popFirst() else { return unknown }
            return match(
                meta(option == "-i" ? "iifname" : "oifname"),
                .text(name.hasSuffix("+") ? name.dropLast() + "*" : name)
            )
        case "-s", "-d":
            let parts = rest.popFirst()?.split(separator: "/") ?? []
            guard parts.count == 2, let length = Int(parts[1]) else { return unknown }
            return match(
                field(family, option == "-s" ? "saddr" : "daddr"),
                .object(["prefix": .object(["addr": .text(String(parts[0])), "len": .number(length)])])
            )
        case "--dport", "--dports", "--sport", "--sports":
            let ports = (rest.popFirst() ?? "").split(separator: ",").map { Self.ports($0) }
            return match(field("th", option.hasPrefix("--d") ? "dport" : "sport"), .list(ports))
        case "--ctstate", "--state":
            let states = (rest.popFirst() ?? "").split(separator: ",").map { JSONValue.text($0.lowercased()) }
            return match(.object(["ct": .object(["key": .text("state")])]), .list(states))
        default: return unknown
        }
    }

    /// `N`, or `N:M` for a range.
    private static func ports(_ text: Substring) -> JSONValue {
        let ends = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        return switch ends.count {
        case 1: ends[0].map { .number($0) } ?? .other
        case 2: .object(["range": .list([.number(ends[0] ?? 0), .number(ends[1] ?? 65535)])])
        default: .other
        }
    }

    private func verdict(_ target: String, isGoto: Bool, options: ArraySlice<String>) -> JSONValue {
        if options.contains("--notrack") { return .object(["notrack": .null]) }
        if let word = Self.verdicts[target] { return .object([word: .null]) }
        if Self.others.contains(target) { return .object(["counter": .null]) }
        guard place(of: target) != nil else { return .object(["unknown": .text(target)]) }
        return .object([isGoto ? "goto" : "jump": .object(["target": .text(target)])])
    }

    /// A line's words; one in quotes may have spaces.
    private static func words(of line: Substring) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        var isEscaped = false
        for character in line {
            switch character {
            case _ where isEscaped:
                word.append(character)
                isEscaped = false
            case "\\": isEscaped = true
            case "\"": isQuoted.toggle()
            case " " where !isQuoted:
                words.append(word)
                word = ""
            default: word.append(character)
            }
        }
        return words + [word]
    }
}
