import Testing
import VXWire

@testable import VXControl

@Suite struct SubnetAllocatorTests {
    /// The same numbers in every run.
    struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    static func pool(_ text: String) throws -> SubnetPool { try FlannelNetworkConfiguration(parsing: text).pool }
    static func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    static let plain = #"{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}"#
    static let dual =
        #"{"EnableIPv6": true, "Network": "10.244.0.0/16", "IPv6Network": "fd00:42::/56", "Backend": {"Type": "vxlan"}}"#

    @Test func theChoiceIsAmongTheFirstHundredFree() throws {
        let pool = try Self.pool(Self.plain)
        var random = Seeded(state: 1)
        let allocator = SubnetAllocator(
            pool: pool,
            taken: [try Self.prefix("10.244.1.0/24"), try Self.prefix("10.244.3.0/24")]
        )
        var seen: Set<IPPrefix> = []
        for _ in 0..<3000 { seen.insert(try #require(allocator.choose(earlier: [], using: &random).subnet)) }
        let expected = try Set(([2] + Array(4...102)).map { try Self.prefix("10.244.\($0).0/24") })
        #expect(seen == expected)
    }

    @Test func anEarlierSubnetIsTakenWhereItIsFreeAndFits() throws {
        let pool = try Self.pool(Self.dual)
        var random = Seeded(state: 2)
        let earlier = try ["10.244.200.0/24", "fd00:42:0:77::/64"].map(Self.prefix)
        let free = try SubnetAllocator(pool: pool, taken: []).choose(earlier: earlier, using: &random)
        #expect([free.subnet, free.subnetV6] == earlier)
        let taken = try SubnetAllocator(pool: pool, taken: [Self.prefix("10.244.192.0/20")])
            .choose(earlier: earlier, using: &random)
        #expect(taken.subnet != earlier[0] && taken.subnetV6 == earlier[1])
        for misfit in ["10.244.200.0/25", "10.245.1.0/24", "10.244.0.0/24", "10.244.200.1/24"] {
            let choice = try SubnetAllocator(pool: pool, taken: []).choose(
                earlier: [Self.prefix(misfit)],
                using: &random
            )
            #expect(try choice.subnet != Self.prefix(misfit))
        }
    }

    @Test func aFullPoolNamesTheFieldsToWiden() throws {
        var random = Seeded(state: 3)
        let pool = try Self.pool(Self.dual)
        #expect {
            try SubnetAllocator(pool: pool, taken: [Self.prefix("10.0.0.0/8")]).choose(earlier: [], using: &random)
        } throws: {
            "\($0)".contains("widen Network, SubnetMin or SubnetMax") && "\($0)".contains("10.244.1.0 to 10.244.255.0")
        }
        #expect {
            try SubnetAllocator(pool: pool, taken: [Self.prefix("::/0")]).choose(earlier: [], using: &random)
        } throws: {
            "\($0)".contains("widen IPv6Network, IPv6SubnetMin or IPv6SubnetMax")
        }
    }

    /// Against the plain way: every subnet of the pool, held against every one that is taken.
    @Test func freeSubnetsAreThoseThatOverlapNothing() throws {
        var random = Seeded(state: 4)
        for round in 0..<400 {
            let isV6 = round % 2 == 1
            let width = isV6 ? 128 : 32
            let share =
                isV6 ? [64, 70, 128].randomElement(using: &random)! : [24, 26, 30].randomElement(using: &random)!
            let bits = Int.random(in: 2...7, using: &random)
            let base: IPAddress = isV6 ? .v6(IPv6Address(high: .max, low: .max)) : .v4(IPv4Address(.max))
            let network = try #require(
                IPPrefix(address: round % 3 == 0 ? base : Self.middle(isV6), length: share - bits)
            ).network
            let count = UInt64(1) << UInt64(bits)
            let low = UInt64.random(in: 0..<count, using: &random)
            let high = UInt64.random(in: low..<count, using: &random)
            let family = SubnetPool.Family(
                network: network,
                length: share,
                first: try #require(network.share(low, length: share)),
                last: try #require(network.share(high, length: share))
            )
            var taken: [IPPrefix] = []
            for _ in 0..<Int.random(in: 0...12, using: &random) {
                let address = try #require(network.share(UInt64.random(in: 0..<count, using: &random), length: share))
                let length = Int.random(in: max(share - bits - 1, 0)...min(width, share + 3), using: &random)
                taken.append(try #require(IPPrefix(address: address, length: length)))
            }
            if round % 5 == 0 { taken.append(try Self.prefix(isV6 ? "2001:db8::/32" : "192.0.2.0/24")) }
            taken.append(try Self.prefix(isV6 ? "0.0.0.0/0" : "::/0"))
            let all = (low...high).compactMap { number in
                network.share(number, length: share).flatMap { IPPrefix(address: $0, length: share) }
            }
            let expected = all.filter { subnet in !taken.contains { $0.overlaps(subnet) } }
            #expect(family.free(beside: taken, most: 10) == Array(expected.prefix(10)), "\(family), \(taken)")
        }
    }

    private static func middle(_ isV6: Bool) -> IPAddress {
        isV6 ? .v6(IPv6Address(high: 0xfd00_0042_0000_1234, low: 0x5678)) : .v4(IPv4Address(0x0af4_8123))
    }

    @Test func aNearlyFullPoolOfMillionsIsWalkedByItsGaps() throws {
        let family = try #require(
            try Self.pool(#"{"Network": "10.0.0.0/8", "SubnetLen": 30, "Backend": {"Type": "vxlan"}}"#).v4
        )
        // All of the four million but one: beside it at each length.
        let last = try Self.prefix("10.200.3.4/30")
        let taken = try (9...30).map { length in
            let sibling = IPv4Address(0x0ac8_0304 ^ UInt32(1) << UInt32(32 - length))
            return try #require(IPPrefix(address: .v4(sibling), length: length)).network
        }
        #expect(family.free(beside: taken, most: 100) == [last])
        #expect(family.free(beside: taken + [last], most: 100) == [])
    }

    @Test(arguments: [
        ("10.244.7.0/24", "fd00:42:0:7::/64", true), ("10.244.7.0/24", "none", false),
        ("none", "fd00:42:0:7::/64", false),
        ("10.244.7.0/25", "fd00:42:0:7::/64", false), ("10.9.7.0/24", "fd00:42:0:7::/64", false),
    ])
    func bothFamiliesMustFit(subnet: String, subnetV6: String, fits: Bool) throws {
        let pool = try Self.pool(Self.dual)
        #expect(pool.fits(subnet: IPPrefix(subnet), subnetV6: IPPrefix(subnetV6)) == fits)
    }
}
