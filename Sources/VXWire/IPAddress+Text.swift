extension IPv4Address: CustomStringConvertible {
    /// Parses four decimal bytes divided by points; nil for any other text.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(decimal: part) else { return nil }
            value = value << 8 | UInt32(byte)
        }
        self.init(value)
    }

    /// Four decimal bytes divided by points.
    public var description: String {
        stride(from: 24, through: 0, by: -8).map { String(rawValue >> UInt32($0) & 0xff) }.joined(separator: ".")
    }
}

extension IPv6Address: CustomStringConvertible {
    /// Parses an RFC 4291 address without scope; nil for any other text.
    public init?(_ text: String) {
        // The longest form is six groups and a dotted IPv4 address.
        guard text.utf8.count <= 45 else { return nil }
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2, let head = Self.words(of: halves[0], mayEndDotted: halves.count == 1) else {
            return nil
        }
        var words = head
        if halves.count == 2 {
            guard let tail = Self.words(of: halves[1], mayEndDotted: true), head.count + tail.count <= 7 else {
                return nil
            }
            words += [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
        }
        guard words.count == 8 else { return nil }
        self.init(
            high: words[..<4].reduce(0) { $0 << 16 | UInt64($1) },
            low: words[4...].reduce(0) { $0 << 16 | UInt64($1) }
        )
    }

    private static func words(of text: Substring, mayEndDotted: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let groups = text.split(separator: ":", omittingEmptySubsequences: false)
        var words: [UInt16] = []
        for (index, group) in groups.enumerated() {
            if mayEndDotted, index == groups.count - 1, let dotted = IPv4Address(String(group)) {
                words.append(UInt16(dotted.rawValue >> 16))
                words.append(UInt16(truncatingIfNeeded: dotted.rawValue))
            } else if group.utf8.count <= 4, let word = UInt16(hexadecimal: group) {
                words.append(word)
            } else {
                return nil
            }
        }
        return words
    }

    /// The canonical form of RFC 5952; only IPv4-mapped addresses end dotted.
    public var description: String {
        if case .v4(let address) = IPAddress(mapped: self) { return "::ffff:\(address)" }
        let words = [high, low].flatMap { half in
            stride(from: 48, through: 0, by: -16).map { UInt16(truncatingIfNeeded: half >> UInt64($0)) }
        }
        // The longest run of zeros, the first of equals, and never a single one (RFC 5952, 4.2).
        var best = 0..<1
        var start = 0
        for (index, word) in words.enumerated() {
            if word != 0 {
                start = index + 1
            } else if index + 1 - start > best.count {
                best = start..<index + 1
            }
        }
        let text = { (words: ArraySlice<UInt16>) in words.map { String($0, radix: 16) }.joined(separator: ":") }
        return best.count < 2
            ? text(words[...]) : text(words[..<best.lowerBound]) + "::" + text(words[best.upperBound...])
    }
}

extension IPAddress: CustomStringConvertible {
    /// Parses an address of either family; nil for any other text.
    public init?(_ text: String) {
        if let address = IPv4Address(text) {
            self = .v4(address)
        } else if let address = IPv6Address(text) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// The address without port or brackets.
    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }

    /// 32 or 128.
    public var bitCount: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    /// The address as sixteen bytes, IPv4 mapped (RFC 4291, 2.5.5.2).
    public var mapped: IPv6Address {
        switch self {
        case .v4(let address): IPv6Address(high: 0, low: 0xffff_0000_0000 | UInt64(address.rawValue))
        case .v6(let address): address
        }
    }

    /// The address of sixteen bytes; a mapped one becomes IPv4.
    public init(mapped address: IPv6Address) {
        if address.high == 0, address.low >> 32 == 0xffff {
            self = .v4(IPv4Address(UInt32(truncatingIfNeeded: address.low)))
        } else {
            self = .v6(address)
        }
    }

    /// The address of sixteen bytes, given as their two halves; a mapped one becomes IPv4.
    public init(mapped high: UInt64, low: UInt64) {
        self.init(mapped: IPv6Address(high: high, low: low))
    }
}
