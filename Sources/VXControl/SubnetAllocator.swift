public import VXWire

/// Chooses a node's subnets out of a pool, as flannel does: those that it had before where they are free, else one of the
/// first hundred free ones at random, so that nodes that choose at once seldom choose the same.
public struct SubnetAllocator: Sendable {
    /// What was chosen.
    public struct Choice: Sendable, Hashable {
        /// The subnet of IPv4; nil where the pool has none.
        public let subnet: IPPrefix?
        /// The subnet of IPv6; nil where the pool has none.
        public let subnetV6: IPPrefix?
    }

    /// How many free subnets one is drawn from (flannel, pkg/subnet/etcd/local_manager.go, `allocateSubnet`).
    static let candidates = 100

    private let pool: SubnetPool
    private var taken: [IPPrefix]

    /// - Parameters:
    ///   - pool: where subnets are taken from.
    ///   - taken: everybody's; they may overlap, be of any length, and lie outside the pool.
    public init(pool: SubnetPool, taken: [IPPrefix]) {
        self.pool = pool
        self.taken = taken
    }

    /// Takes a subnet that turned out to be somebody else's out of the choice.
    public mutating func exclude(_ subnet: IPPrefix) { taken.append(subnet) }

    /// - Parameters:
    ///   - earlier: subnets that the node had, the best first.
    ///   - random: draws among the free ones.
    /// - Throws: when a family has no free subnet; the text names the fields to widen.
    public func choose(
        earlier: [IPPrefix],
        using random: inout some RandomNumberGenerator
    ) throws(DirectoryError) -> Choice {
        var subnets: [IPPrefix?] = []
        for (family, prefix) in [(pool.v4, ""), (pool.v6, "IPv6")] {
            guard let family else {
                subnets.append(nil)
                continue
            }
            let own = earlier.first { subnet in family.fits(subnet) && !taken.contains { $0.overlaps(subnet) } }
            guard let chosen = own ?? family.free(beside: taken, most: Self.candidates).randomElement(using: &random)
            else {
                throw DirectoryError(
                    "every subnet of \(family.length) bits from \(family.first) to \(family.last) is taken: widen "
                        + "\(prefix)Network, \(prefix)SubnetMin or \(prefix)SubnetMax in the overlay's configuration, "
                        + "or make \(prefix)SubnetLen greater",
                    isTransient: true
                )
            }
            subnets.append(chosen)
        }
        return Choice(subnet: subnets[0], subnetV6: subnets[1])
    }
}

extension SubnetPool {
    /// Whether subnets that a node has are what it would get today: one of each family, none of another.
    public func fits(subnet: IPPrefix?, subnetV6: IPPrefix?) -> Bool {
        for (family, subnet) in [(v4, subnet), (v6, subnetV6)] {
            switch (family, subnet) {
            case (let family?, let subnet?): if !family.fits(subnet) { return false }
            case (nil, nil): continue
            case (nil, _?), (_?, nil): return false
            }
        }
        return true
    }
}

extension SubnetPool.Family {
    /// Whether a subnet is one of this pool's.
    func fits(_ subnet: IPPrefix) -> Bool {
        subnet.length == length && subnet == subnet.network && network.contains(subnet.address)
            && first.isAtMost(subnet.address) && subnet.address.isAtMost(last)
    }

    /// The first free subnets, in order. It walks the gaps between what is taken, so that a full pool of millions costs no
    /// more than an empty one.
    func free(beside taken: [IPPrefix], most: Int) -> [IPPrefix] {
        let width = first.bitCount
        // The host bits of a length; Swift's `>>` gives 0 when it shifts everything out.
        func lastAddress(_ start: UInt128, _ length: Int) -> UInt128 {
            start | UInt128.max >> UInt128(128 - width + length)
        }
        let spans = taken.filter { $0.address.bitCount == width }
            .map { (start: $0.network.address.number, end: lastAddress($0.network.address.number, $0.length)) }
            .sorted { $0.start < $1.start }
        var found: [IPPrefix] = []
        var next = spans.startIndex
        var start = first.number
        while found.count < most, start <= last.number {
            let end = lastAddress(start, length)
            var reached = end
            var isFree = true
            while next < spans.endIndex, spans[next].start <= end {
                if spans[next].end >= start {
                    isFree = false
                    reached = max(reached, lastAddress(spans[next].end, length))
                }
                // A span that reaches beyond stays the one to look at: the next subnet starts behind it.
                next += 1
            }
            if isFree, let subnet = IPPrefix(address: IPAddress(number: start, isIPv6: width == 128), length: length) {
                found.append(subnet)
            }
            let (following, overflow) = reached.addingReportingOverflow(1)
            if overflow { break }
            start = following
        }
        return found
    }
}

extension IPAddress {
    /// The address as a number, the first octet highest.
    fileprivate var number: UInt128 {
        switch self {
        case .v4(let address): UInt128(address.rawValue)
        case .v6(let address): UInt128(address.high) << 64 | UInt128(address.low)
        }
    }

    fileprivate init(number: UInt128, isIPv6: Bool) {
        self =
            isIPv6
            ? .v6(IPv6Address(high: UInt64(truncatingIfNeeded: number >> 64), low: UInt64(truncatingIfNeeded: number)))
            : .v4(IPv4Address(UInt32(truncatingIfNeeded: number)))
    }
}
