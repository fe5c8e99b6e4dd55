import VXWire

/// The checksum of IPv4, ICMP, TCP and UDP (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words.
enum InternetChecksum {
    /// The unfolded sum of big-endian words; an odd last byte counts as the high half of a word.
    ///
    /// Sums 32-bit words in the machine's order and swaps once at the end: the sum does not depend on byte order (RFC 1071,
    /// 2 B), and the loop becomes vector instructions.
    @inline(__always)
    static func sum(_ bytes: UnsafeRawPointer, count: Int) -> UInt64 {
        var lanes = SIMD8<UInt64>()
        var offset = 0
        while offset &+ 32 <= count {
            let words = bytes.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt32>.self)
            lanes &+= SIMD8<UInt64>(truncatingIfNeeded: words)
            offset &+= 32
        }
        var sum = lanes.wrappedSum()
        while offset &+ 4 <= count {
            sum &+= UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            offset &+= 4
        }
        if offset &+ 2 <= count {
            sum &+= UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            offset &+= 2
        }
        if offset < count {
            sum &+= UInt64(UInt16(bytes.load(fromByteOffset: offset, as: UInt8.self)).littleEndian)
        }
        return UInt64(UInt16(bigEndian: fold(sum)))
    }

    /// Folds a sum into 16 bits, without the final complement.
    @inline(__always)
    static func fold(_ sum: UInt64) -> UInt16 {
        var folded = (sum & 0xffff_ffff) &+ (sum &>> 32)
        folded = (folded & 0xffff) &+ (folded &>> 16)
        folded = (folded & 0xffff) &+ (folded &>> 16)
        folded = (folded & 0xffff) &+ (folded &>> 16)
        return UInt16(truncatingIfNeeded: folded)
    }

    /// Folds a sum into the checksum.
    @inline(__always)
    static func finish(_ sum: UInt64) -> UInt16 { ~fold(sum) }

    /// The checksum of bytes whose checksum field is zero.
    @inline(__always)
    static func of(_ bytes: UnsafeRawPointer, count: Int) -> UInt16 { finish(sum(bytes, count: count)) }

    /// The checksum of an ICMPv6 message directly behind its IPv6 header, pseudo-header included (RFC 8200, 8.1); zero where the
    /// field holds the right one.
    /// - Parameters:
    ///   - header: the IPv6 header.
    ///   - count: bytes of the message.
    static func icmpv6(_ header: UnsafeRawPointer, count: Int) -> UInt16 {
        let pseudo = sum(header + 8, count: 32) + UInt64(count) + UInt64(IPProtocol.icmpv6)
        return finish(pseudo + sum(header + IPv6Packet.headerLength, count: count))
    }

    /// Where UDP's checksum field stands in its header (RFC 768).
    private static var udpField: Int { 6 }

    /// Completes a TCP or UDP checksum whose field holds the sum of the pseudo-header.
    /// - Parameters:
    ///   - transport: the TCP or UDP header.
    ///   - count: bytes from there to the packet's end.
    ///   - offset: where the field stands from `transport`.
    @inline(__always)
    static func complete(_ transport: UnsafeMutableRawPointer, count: Int, offset: Int) {
        let checksum = of(transport, count: count)
        // Zero would say that a UDP datagram has none (RFC 768). In TCP it is the sum itself, and its other form counts as an
        // error with some (RFC 1624, 3).
        transport.storeBigEndian(checksum == 0 && offset == udpField ? 0xffff : checksum, at: offset)
    }
}
