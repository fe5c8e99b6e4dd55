/// The checksum of IPv4, ICMP, TCP and UDP (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words.
enum InternetChecksum {
    /// The unfolded sum of big-endian words; an odd last byte counts as the high half of a word.
    static func sum(_ bytes: UnsafeRawPointer, count: Int) -> UInt64 {
        var sum: UInt64 = 0
        var offset = 0
        while offset + 1 < count {
            sum &+= UInt64(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
            offset += 2
        }
        if offset < count { sum &+= UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self)) << 8 }
        return sum
    }

    /// Folds a sum into the checksum.
    static func finish(_ sum: UInt64) -> UInt16 {
        var folded = sum
        while folded > 0xffff { folded = folded & 0xffff &+ folded >> 16 }
        return ~UInt16(truncatingIfNeeded: folded)
    }

    /// The checksum of bytes whose checksum field is zero.
    static func of(_ bytes: UnsafeRawPointer, count: Int) -> UInt16 { finish(sum(bytes, count: count)) }
}
