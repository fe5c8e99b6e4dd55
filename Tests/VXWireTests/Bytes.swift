import VXWire

/// Bytes of a hexadecimal constant; blanks divide fields.
func hex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8.filter { $0 != 0x20 && $0 != 0x0a })
    return stride(from: 0, to: digits.count, by: 2).map { offset in
        UInt8(String(decoding: digits[offset..<offset + 2], as: UTF8.self), radix: 16)!
    }
}

/// SplitMix64: the same bytes on every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    mutating func bytes(count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

enum Sample {
    // The first records of shared/vectors/vxseal-handshake.json: one frame in VNI 42.
    static let records = hex(
        "01000044 0800000000002a00 020000000007 020000000008 0800"
            + "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e"
    )
    static let sealedHeader = hex("04030000 a0b0c0d0 0000010000000007")

    static let ethernet = hex("0a0000000002 0a0000000001")
    static let ipv4 = hex("45000024 1234 0000 40 11 0000 c0000201 c6336402")
    static let ipv6 = hex(
        "60000000 0010 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002"
    )
    static let udp = hex("1f90 0035 0010 beef 0011223344556677")
    static let tcp = hex("1f90 01bb 01020304 05060708 6012 ffff abcd 0000 020405b4 aabb")
    static let arp = hex("0001 0800 06 04 0001 0a0000000001 c0000201 000000000000 c0000202")

    static let ipv4Frame = ethernet + hex("0800") + ipv4 + udp
    static let ipv6Frame = ethernet + hex("86dd") + ipv6 + udp
    static let taggedFrame = ethernet + hex("88a8 0064 8100 000a 0800") + ipv4 + udp
}
