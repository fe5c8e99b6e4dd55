// Text forms through the C library's inet_pton and inet_ntop, which write IPv6 as RFC 5952 asks.
private import Glibc

extension IPv4Address: CustomStringConvertible {
    /// Parses four decimal bytes divided by points; nil for any other text.
    public init?(_ text: String) {
        var address = in_addr()
        guard unsafe inet_pton(AF_INET, text, &address) == 1 else { return nil }
        self.init(UInt32(bigEndian: address.s_addr))
    }

    /// Four decimal bytes divided by points.
    public var description: String {
        stride(from: 24, through: 0, by: -8).map { String(rawValue >> UInt32($0) & 0xff) }.joined(separator: ".")
    }
}

extension IPv6Address: CustomStringConvertible {
    /// Parses an RFC 4291 address without scope; nil for any other text.
    public init?(_ text: String) {
        var bytes = InlineArray<2, UInt64>(repeating: 0)
        var mutable = bytes.mutableSpan
        let code = unsafe mutable.withUnsafeMutableBufferPointer { unsafe inet_pton(AF_INET6, text, $0.baseAddress) }
        guard code == 1 else { return nil }
        self.init(high: UInt64(bigEndian: bytes[0]), low: UInt64(bigEndian: bytes[1]))
    }

    /// The canonical form of RFC 5952.
    public var description: String {
        let words: InlineArray<2, UInt64> = [high.bigEndian, low.bigEndian]
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        return unsafe words.span.withUnsafeBufferPointer { words in
            unsafe inet_ntop(AF_INET6, words.baseAddress, &text, socklen_t(text.count)).map {
                unsafe String(cString: $0)
            } ?? ""
        }
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
}

extension Endpoint: CustomStringConvertible {
    /// Parses `192.0.2.2:47890`, `[fd00::1]:47890` or, with a numeric scope, `[fe80::1%3]:47890`; nil for any other text.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
            return nil
        }
        let host = text[..<colon]
        guard host.first == "[", host.last == "]" else {
            guard let address = IPv4Address(String(host)) else { return nil }
            self.init(address: .v4(address), port: port)
            return
        }
        let parts = host.dropFirst().dropLast().split(separator: "%", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, let address = IPv6Address(String(first)) else { return nil }
        var scope: UInt32 = 0
        if parts.count == 2 {
            guard let number = UInt32(parts[1]), number > 0 else { return nil }
            scope = number
        }
        self.init(address: .v6(address), port: port, scope: scope)
    }

    /// Address and port, an IPv6 address in brackets.
    public var description: String {
        switch address {
        case .v4(let address): "\(address):\(port)"
        case .v6(let address): scope == 0 ? "[\(address)]:\(port)" : "[\(address)%\(scope)]:\(port)"
        }
    }
}

/// An address with a prefix length, as `10.98.0.1/24`: a network, or an interface's address in one.
public struct IPPrefix: Hashable, Sendable, CustomStringConvertible {
    /// The address, host bits included.
    public let address: IPAddress
    /// The prefix length in bits.
    public let length: Int

    /// Parses address, slash and length; nil for any other text or a length beyond the family's.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let length = UInt8(parts[1]),
            parts[1].first != "+", length <= address.bitCount
        else { return nil }
        self.address = address
        self.length = Int(length)
    }

    /// Address, slash and length.
    public var description: String { "\(address)/\(length)" }
}
