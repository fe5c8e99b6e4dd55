import VXConfig
public import VXWire

/// flannel's net-conf.json, read as flannel reads it (pkg/subnet/config.go, pkg/backend/vxlan/vxlan.go): names in any case,
/// the same defaults, the same bounds.
public struct FlannelNetworkConfiguration: Sendable, Equatable {
    /// `Backend`.
    public struct Backend: Sendable, Equatable {
        /// What speaks on the wire.
        public enum Kind: String, Sendable, CaseIterable {
            /// Standard VXLAN, as flannel's own.
            case vxlan
            /// Sealed with every node. Nodes of flannel do not know it.
            case vxseal
        }

        /// `Type`.
        public var kind = Kind.vxlan
        /// `VNI`, 1 by default.
        public var vni = VNI(truncating: 1)
        /// `Port`, UDP; the kernel's 8472 by default.
        public var port: UInt16 = 8472
        /// `MTU` of the underlay in bytes; nil for that of its interface.
        public var mtu: Int?
        /// `Learning`.
        public var learning = false
        /// `DirectRouting`: nodes of one subnet of the underlay reach each other's pods without encapsulation.
        public var directRouting = false
        /// `Seal`, vxseal's own; nil where it is not named.
        public var seal: SealPolicy?
    }

    /// Where nodes' subnets come from.
    public var pool = SubnetPool(v4: nil)
    /// `EnableNFTables`.
    public var enableNFTables = false
    /// `Backend`.
    public var backend = Backend()
    /// Names that neither flannel nor vxseal knows, for a note: a typing error would go unseen.
    public var unknownFields: [String] = []

    /// All that is wrong with a text, naming each field.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        /// One line a problem: what, and how to mend it.
        public let problems: [String]
        /// All of them.
        public var description: String { problems.joined(separator: "; ") }
    }

    /// More than any cluster's.
    static let largestText = 1 << 20

    /// Reads a text.
    public init(parsing text: String) throws(Failure) {
        guard text.utf8.count <= Self.largestText, let value = JSONValue(parsing: text), case .object = value else {
            throw Failure(problems: ["net-conf.json is no JSON object of at most 1 MiB"])
        }
        var reader = FieldReader(value, path: "")
        let isV4 = reader.flag("EnableIPv4") ?? true
        let isV6 = reader.flag("EnableIPv6") ?? false
        enableNFTables = reader.flag("EnableNFTables") ?? false
        let v4 = FamilyReader.v4.read(&reader, isEnabled: isV4)
        let v6 = FamilyReader.v6.read(&reader, isEnabled: isV6)
        if !isV4, !isV6 { reader.problems.append("EnableIPv4 and EnableIPv6 are both false; enable one") }
        pool = SubnetPool(v4: v4, v6: v6)
        if let object = reader.object("Backend") {
            var inner = FieldReader(object, path: "Backend.")
            backend = Self.backend(&inner)
            reader.problems += inner.problems
            unknownFields = inner.unknown()
        } else {
            reader.problems.append(
                "Backend is missing, which flannel reads as `udp`; add \"Backend\": {\"Type\": \"vxlan\"}"
            )
        }
        unknownFields = reader.unknown() + unknownFields
        guard reader.problems.isEmpty else { throw Failure(problems: reader.problems) }
    }

    private static func backend(_ reader: inout FieldReader) -> Backend {
        var backend = Backend()
        let type = reader.text("Type") ?? "udp"
        if let kind = Backend.Kind(rawValue: type.lowercased()) {
            backend.kind = kind
        } else {
            reader.problems.append(
                "Backend.Type is \(quoted(type)); write \"vxlan\", or \"vxseal\" for sealed nodes alone"
            )
        }
        if let number = reader.number("VNI", in: 1...0xff_ffff) { backend.vni = VNI(truncating: UInt32(number)) }
        if let number = reader.number("Port", in: 0...65535), number > 0 { backend.port = UInt16(number) }
        if let number = reader.number("MTU", in: 0...65535), number > 0 { backend.mtu = number }
        backend.learning = reader.flag("Learning") ?? false
        backend.directRouting = reader.flag("DirectRouting") ?? false
        if reader.flag("GBP") == true {
            reader.problems.append("Backend.GBP is true; vxseal carries no group policy: remove it on all nodes")
        }
        // Known to flannel, on Windows alone.
        _ = reader.text("MacPrefix")
        _ = reader.text("Name")
        if let text = reader.text("Seal") {
            backend.seal = SealPolicy(rawValue: text.lowercased())
            if backend.seal == nil {
                reader.problems.append("Backend.Seal is \(quoted(text)); write \"off\", \"prefer\" or \"require\"")
            }
        }
        if backend.kind == .vxseal {
            if backend.seal != nil, backend.seal != .require {
                reader.problems.append(
                    "Backend.Seal is not \"require\" though Backend.Type is \"vxseal\"; remove one of them"
                )
            }
            backend.seal = .require
        }
        return backend
    }
}

/// Whether a node seals what it sends to others (product.md, agent).
public enum SealPolicy: String, Sendable, CaseIterable, Comparable {
    /// Standard VXLAN with all, as flannel.
    case off
    /// Sealed with those that can, standard VXLAN with the rest.
    case prefer
    /// Sealed alone: the others are not reached.
    case require

    private var strictness: Int {
        switch self {
        case .off: 0
        case .prefer: 1
        case .require: 2
        }
    }

    /// The less strict one first.
    public static func < (left: SealPolicy, right: SealPolicy) -> Bool { left.strictness < right.strictness }
}

private func quoted(_ text: String) -> String { text.utf8.count > 64 ? "too long" : "\"\(text)\"" }

/// Fields of one object, and what is wrong with them.
private struct FieldReader {
    private let value: JSONValue
    private let path: String
    private var asked: Set<String> = []
    var problems: [String] = []

    init(_ value: JSONValue, path: String) {
        self.value = value
        self.path = path
    }

    private mutating func find(_ name: String) -> JSONValue? {
        asked.insert(name.lowercased())
        let found = value[ignoringCase: name]
        return found == .null ? nil : found
    }

    mutating func flag(_ name: String) -> Bool? {
        guard let found = find(name) else { return nil }
        if found.flag == nil {
            problems.append("\(path)\(name) is not true or false; write one of them without quotes")
        }
        return found.flag
    }

    mutating func text(_ name: String) -> String? {
        guard let found = find(name) else { return nil }
        if found.text == nil { problems.append("\(path)\(name) is no text; write it in quotes") }
        return found.text
    }

    mutating func number(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let found = find(name) else { return nil }
        guard let number = found.number, range.contains(number) else {
            problems.append(
                "\(path)\(name) is no number from \(range.lowerBound) to \(range.upperBound); write one without quotes"
            )
            return nil
        }
        return number
    }

    mutating func object(_ name: String) -> JSONValue? {
        guard let found = find(name) else { return nil }
        if case .object = found { return found }
        problems.append("\(path)\(name) is no object")
        return nil
    }

    func unknown() -> [String] {
        guard case .object(let members) = value else { return [] }
        return members.keys.filter { !asked.contains($0.lowercased()) }.sorted().map { path + $0 }
    }
}

/// The fields of one family.
private struct FamilyReader {
    let prefix: String
    let isV6: Bool
    /// The longest `Network`: four subnets of four addresses each must fit.
    let longestNetwork: Int
    let longestSubnet: Int
    let usualSubnet: Int

    static let v4 = FamilyReader(prefix: "", isV6: false, longestNetwork: 28, longestSubnet: 30, usualSubnet: 24)
    static let v6 = FamilyReader(prefix: "IPv6", isV6: true, longestNetwork: 124, longestSubnet: 126, usualSubnet: 64)

    func read(_ reader: inout FieldReader, isEnabled: Bool) -> SubnetPool.Family? {
        let name = prefix + "Network"
        let text = reader.text(name)
        let length = reader.number(prefix + "SubnetLen", in: 0...(isV6 ? 128 : 32)).flatMap { $0 > 0 ? $0 : nil }
        let least = reader.text(prefix + "SubnetMin")
        let most = reader.text(prefix + "SubnetMax")
        guard isEnabled else { return nil }
        guard let network = text.flatMap({ IPPrefix($0)?.network }), network.address.isIPv6 == isV6 else {
            reader.problems.append(
                "\(name) is no network; write it as \(isV6 ? "\"fd00:10::/56\"" : "\"10.244.0.0/16\"")"
            )
            return nil
        }
        if let length {
            guard length <= longestSubnet, length >= network.length + 2 else {
                reader.problems.append(
                    "\(prefix)SubnetLen \(length) does not fit \(network); choose \(network.length + 2) to \(longestSubnet)"
                )
                return nil
            }
        } else if network.length > longestNetwork {
            reader.problems.append("\(name) \(network) is too small; choose /\(longestNetwork) or wider")
            return nil
        }
        let share = length ?? (network.length + 2 <= usualSubnet ? usualSubnet : network.length + 2)
        // The first share is left out: its network address would be the whole overlay's.
        let first = bound(least, "SubnetMin", share, network, &reader) ?? network.share(1, length: share)
        let last = bound(most, "SubnetMax", share, network, &reader) ?? network.lastShare(length: share)
        guard let first, let last else { return nil }
        guard first.isAtMost(last) else {
            reader.problems.append("\(prefix)SubnetMin \(first) is above \(prefix)SubnetMax \(last); exchange them")
            return nil
        }
        return SubnetPool.Family(network: network, length: share, first: first, last: last)
    }

    private func bound(
        _ text: String?,
        _ field: String,
        _ share: Int,
        _ network: IPPrefix,
        _ reader: inout FieldReader
    ) -> IPAddress? {
        guard let text else { return nil }
        guard let address = IPAddress(text), network.contains(address) else {
            reader.problems.append("\(prefix)\(field) is no address in \(network)")
            return nil
        }
        guard let whole = IPPrefix(address: address, length: share), whole.network.address == address else {
            reader.problems.append("\(prefix)\(field) \(address) is not where a /\(share) begins")
            return nil
        }
        return address
    }
}
