import Testing
import VXWire

@Suite("Text of addresses")
struct TextTests {
    @Test(arguments: [
        // RFC 5952, sections 2 and 4.
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
        ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"),
        ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("::1", "::1"),
        ("1::", "1::"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("::1:2", "::1:2"),
    ])
    func ipv6(text: String, canonical: String) throws {
        let address = try #require(IPv6Address(text))
        #expect(address.description == canonical)
        #expect(IPv6Address(canonical) == address)
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "1::2::3", ":1::2", "1::2:",
        "12345::",
        "g::", "+1::", "-0::", "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%3", "::1 ",
        "::\u{0}",
    ])
    func notIPv6(text: String) {
        #expect(IPv6Address(text) == nil)
    }

    @Test func ipv4() {
        #expect(IPv4Address("192.0.2.1") == IPv4Address(0xc000_0201))
        #expect(IPv4Address(0xffff_ff00).description == "255.255.255.0")
        for text in [
            "", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.+4", "1.2.3.-0", "1..2.3", "1.2.3.4\u{0}", "::",
        ] {
            #expect(IPv4Address(text) == nil, "\(text)")
        }
    }

    @Test func mapped() {
        let four = IPAddress.v4(IPv4Address(0xc000_0201))
        #expect(four.mapped == IPv6Address(high: 0, low: 0xffff_c000_0201))
        #expect(IPAddress(mapped: 0, low: 0xffff_c000_0201) == four)
        let six = IPAddress.v6(IPv6Address(high: 0x2001_0db8_0000_0000, low: 1))
        #expect(IPAddress(mapped: six.mapped) == six)
    }

    @Test(arguments: ["192.0.2.2:47890", "[fd00::1]:47890", "[fe80::1%3]:47890", "0.0.0.0:0", "[::]:65535"])
    func endpoint(text: String) {
        #expect(Endpoint(text)?.description == text)
    }

    @Test(arguments: [
        "", ":", "192.0.2.2", "192.0.2.2:", "192.0.2.2:65536", "192.0.2.2:+1", "192.0.2.2:01", "fd00::1:47890",
        "[fd00::1]",
        "[192.0.2.2]:1", "[fd00::1%3]:1", "[fe80::1%0]:1", "[fe80::1%eth0]:1", "[fe80::1%+3]:1", "[fe80::1%3%4]:1",
        "[]:1", "[:1",
        "name:1",
    ])
    func notEndpoint(text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test func prefix() throws {
        let network = try #require(IPPrefix("10.98.0.1/24"))
        #expect(network.description == "10.98.0.1/24")
        #expect(network.contains(.v4(IPv4Address(0x0a62_00ff))))
        #expect(!network.contains(.v4(IPv4Address(0x0a62_0100))))
        #expect(!network.contains(.v6(IPv6Address(high: 0, low: 0x0a62_0001))))
        #expect(try #require(IPPrefix("0.0.0.0/0")).contains(.v4(IPv4Address(0xffff_ffff))))
        #expect(!(try #require(IPPrefix("10.0.0.1/32")).contains(.v4(IPv4Address(0x0a00_0002)))))
        for length in 0...128 {
            let six = try #require(IPPrefix("2001:db8::/\(length)"))
            let flipped = { (bit: Int) in
                IPAddress.v6(
                    IPv6Address(
                        high: 0x2001_0db8_0000_0000 ^ (bit < 64 ? 1 << UInt64(63 - bit) : 0),
                        low: bit < 64 ? 0 : 1 << UInt64(127 - bit)
                    )
                )
            }
            for bit in 0..<128 { #expect(six.contains(flipped(bit)) == (bit >= length)) }
        }
        for text in [
            "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8", "/8",
        ] {
            #expect(IPPrefix(text) == nil, "\(text)")
        }
        #expect(IPPrefix(address: .v4(IPv4Address(0)), length: -1) == nil)
    }

    @Test func macAddress() {
        #expect(MACAddress("0A:00:00:00:00:0f")?.description == "0a:00:00:00:00:0f")
        for text in [
            "", "0a:00:00:00:00", "0a:00:00:00:00:0", "-0:00:00:00:00:00", "+1:00:00:00:00:00", "0g:00:00:00:00:00",
        ] {
            #expect(MACAddress(text) == nil, "\(text)")
        }
    }

    @Test func randomAddressesComeBack() {
        var generator = SeededGenerator(state: 1)
        for _ in 0..<2000 {
            // Masks make runs of zeros.
            let mask = UInt64.random(in: 0...UInt64.max, using: &generator)
            var (high, low) = (generator.next(), generator.next())
            for word in 0..<4 {
                if mask >> UInt64(word) & 1 == 0 { high &= ~(0xffff << UInt64(word * 16)) }
                if mask >> UInt64(word + 4) & 1 == 0 { low &= ~(0xffff << UInt64(word * 16)) }
            }
            let six = IPv6Address(high: high, low: low)
            #expect(IPv6Address(six.description) == six)
            let four = IPv4Address(UInt32(truncatingIfNeeded: low))
            #expect(IPv4Address(four.description) == four)
        }
    }
}
