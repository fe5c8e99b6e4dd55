public import VXWire

/// What a peer may claim to be: `allow` of its configuration (product.md, cryptokey binding).
public struct PeerAllowance: Sendable {
    /// The source MAC addresses it may use, which nobody else may; empty leaves it any that are no one else's.
    public let macs: [MACAddress]
    /// The inner addresses it may speak for; empty leaves it all.
    public let prefixes: [IPPrefix]
    /// Whether it may send router advertisements, redirects and DHCP answers.
    public let router: Bool

    /// From its parts.
    public init(macs: [MACAddress], prefixes: [IPPrefix], router: Bool) {
        self.macs = macs
        self.prefixes = prefixes
        self.router = router
    }
}

/// A `PeerAllowance` made ready for the packet path: built once, never changed, shared by all lanes.
///
/// MAC addresses are not in it: they stand in the forwarding databases as permanent entries, where learning looks anyway.
public final class PeerBinding: @unchecked Sendable {
    /// What a lane keeps of it, valid as long as the binding.
    let rules: BindingRules
    private let ranges: UnsafeMutablePointer<AddressRange>

    /// Sorts the prefixes and joins those that overlap.
    public init(_ allowance: PeerAllowance) {
        let ipv4 = AddressRange.merged(allowance.prefixes.filter { !$0.address.isIPv6 })
        let ipv6 = AddressRange.merged(allowance.prefixes.filter(\.address.isIPv6))
        ranges = .allocate(capacity: max(ipv4.count + ipv6.count, 1))
        for (place, range) in (ipv4 + ipv6).enumerated() { (ranges + place).initialize(to: range) }
        var flags = BindingRules.examined
        if !allowance.macs.isEmpty { flags |= BindingRules.macs }
        if !allowance.prefixes.isEmpty { flags |= BindingRules.prefixes }
        if !allowance.router { flags |= BindingRules.noRouter }
        rules = BindingRules(
            flags: flags,
            ipv4: UnsafeBufferPointer(start: ranges, count: ipv4.count),
            ipv6: UnsafeBufferPointer(start: ranges + ipv4.count, count: ipv6.count)
        )
    }

    deinit { ranges.deallocate() }
}

/// Addresses in a row, both ends included.
struct AddressRange {
    let first: UInt128
    let last: UInt128

    private init(_ prefix: IPPrefix) {
        let (key, width): (UInt128, Int) =
            switch prefix.address {
            case .v4(let address): (UInt128(address.rawValue), 32)
            case .v6(let address): (Self.key(address), 128)
            }
        // Swift's shifts give 0 when they shift everything out.
        let host = ~(~UInt128(0) << UInt128(width - prefix.length))
        first = key & ~host
        last = key | host
    }

    private init(first: UInt128, last: UInt128) {
        self.first = first
        self.last = last
    }

    @inline(__always)
    static func key(_ address: IPv6Address) -> UInt128 { UInt128(address.high) &<< 64 | UInt128(address.low) }

    /// The ranges of prefixes of one family, ascending, none touching another.
    static func merged(_ prefixes: [IPPrefix]) -> [AddressRange] {
        var ranges: [AddressRange] = []
        for range in prefixes.map(AddressRange.init).sorted(by: { $0.first < $1.first }) {
            if let before = ranges.last, before.last == .max || range.first <= before.last + 1 {
                ranges[ranges.count - 1] = AddressRange(first: before.first, last: max(before.last, range.last))
            } else {
                ranges.append(range)
            }
        }
        return ranges
    }
}

/// A peer's binding as a lane sees it: plain words, so that looking at it costs no reference counting.
struct BindingRules {
    /// Set for every peer that has an `allow` at all.
    static let examined: UInt8 = 1
    /// It may use its own MAC addresses alone.
    static let macs: UInt8 = 2
    /// It may speak for its prefixes alone.
    static let prefixes: UInt8 = 4
    /// It is no router and no DHCP server.
    static let noRouter: UInt8 = 8

    /// Of a peer without `allow`.
    static var none: BindingRules {
        BindingRules(
            flags: 0,
            ipv4: UnsafeBufferPointer(start: nil, count: 0),
            ipv6: UnsafeBufferPointer(start: nil, count: 0)
        )
    }

    let flags: UInt8
    let ipv4: UnsafeBufferPointer<AddressRange>
    let ipv6: UnsafeBufferPointer<AddressRange>

    /// One branch tells the common case of a peer without `allow`.
    @inline(__always)
    var isNone: Bool { flags == 0 }
    @inline(__always)
    var bindsMACs: Bool { flags & Self.macs != 0 }
    @inline(__always)
    var bindsPrefixes: Bool { flags & Self.prefixes != 0 }
    @inline(__always)
    var refusesRouters: Bool { flags & Self.noRouter != 0 }
    /// Its `allow` says that it is one.
    @inline(__always)
    var isRouter: Bool { flags & (Self.examined | Self.noRouter) == Self.examined }

    /// Whether the peer may speak for an IPv4 address.
    @inline(__always)
    func admits(_ address: IPv4Address) -> Bool {
        !bindsPrefixes || Self.holds(UInt128(address.rawValue), in: ipv4)
    }

    /// Whether the peer may speak for an IPv6 address. A link-local one says nothing by itself: it passes when the MAC
    /// address beside it is bound.
    @inline(__always)
    func admits(_ address: IPv6Address) -> Bool {
        if !bindsPrefixes { return true }
        if bindsMACs, address.high &>> 54 == 0x3fa { return true }
        return Self.holds(AddressRange.key(address), in: ipv6)
    }

    /// Binary search for the last range that begins at or before the address.
    @inline(__always)
    private static func holds(_ key: UInt128, in ranges: UnsafeBufferPointer<AddressRange>) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low &+ high) &>> 1
            if ranges[middle].first <= key { low = middle &+ 1 } else { high = middle }
        }
        return low > 0 && key <= ranges[low &- 1].last
    }
}
