/// One block of a pcapng stream.
public struct PcapngBlock: Sendable {
    /// Block types.
    public enum Kind {
        /// Section header.
        public static let section: UInt32 = 0x0a0d_0d0a
        /// Interface description.
        public static let interface: UInt32 = 1
        /// Interface statistics.
        public static let statistics: UInt32 = 5
        /// Enhanced packet.
        public static let packet: UInt32 = 6
    }

    /// A `Kind`, or another.
    public let kind: UInt32
    /// All of it, type and both lengths included.
    public let bytes: ArraySlice<UInt8>

    /// Of a packet or statistics: the number of the interface.
    public var interface: Int? {
        guard kind == Kind.packet || kind == Kind.statistics, bytes.count >= 16 else { return nil }
        return Int(bytes.littleEndian32(at: 8))
    }

    /// Of statistics: packets that were lost.
    public var dropped: UInt64? {
        guard kind == Kind.statistics else { return nil }
        var offset = 20
        while offset + 4 <= bytes.count - 4 {
            let head = bytes.littleEndian32(at: offset)
            let (code, length) = (head & 0xffff, Int(head >> 16))
            if code == 0 || offset + 4 + length > bytes.count - 4 { return nil }
            // isb_ifdrop.
            if code == 5, length == 8 {
                return UInt64(bytes.littleEndian32(at: offset + 4)) | UInt64(bytes.littleEndian32(at: offset + 8)) << 32
            }
            offset += 4 + (length + 3) & ~3
        }
        return nil
    }
}

/// Divides a little-endian pcapng stream into its blocks, however it is cut on its way.
public struct PcapngBlocks: Sendable {
    /// The stream is no pcapng, or of the other byte order.
    public struct Malformed: Error, CustomStringConvertible {
        /// What, and where it came from.
        public let description = "the daemon's answer is no pcapng"
    }

    /// Longer blocks are none of this program's.
    private static let largest = 1 << 20
    private var buffer: [UInt8] = []
    private var next = 0

    /// Nothing came yet.
    public init() {}

    /// Takes what came.
    public mutating func append(_ bytes: some Sequence<UInt8>) {
        // What is left is less than a block.
        buffer.removeFirst(next)
        next = 0
        buffer.append(contentsOf: bytes)
    }

    /// The next whole block; nil until more has come.
    public mutating func takeNext() throws(Malformed) -> PcapngBlock? {
        let rest = buffer[next...]
        guard rest.count >= 12 else { return nil }
        let length = Int(rest.littleEndian32(at: 4))
        guard length >= 12, length % 4 == 0, length <= Self.largest else { throw Malformed() }
        guard rest.count >= length else { return nil }
        let block = rest.prefix(length)
        guard block.littleEndian32(at: length - 4) == UInt32(length) else { throw Malformed() }
        next += length
        return PcapngBlock(kind: block.littleEndian32(at: 0), bytes: block)
    }
}

extension ArraySlice<UInt8> {
    /// The little-endian number at an offset from the slice's first byte.
    fileprivate func littleEndian32(at offset: Int) -> UInt32 {
        let first = startIndex + offset
        return (0..<4).reduce(0) { $0 | UInt32(self[first + $1]) << UInt32($1 * 8) }
    }
}
