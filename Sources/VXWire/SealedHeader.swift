/// The first byte of every datagram on the sealed port (protocol.md, 1). None is 0x08, a VXLAN header's first byte.
public enum MessageType: UInt8, Sendable {
    /// Handshake initiation.
    case initiation = 1
    /// Handshake response.
    case response = 2
    /// Cookie reply.
    case cookieReply = 3
    /// Transport data.
    case transport = 4

    /// The exact size in bytes of a handshake message, the least size of transport data.
    public var size: Int {
        switch self {
        case .initiation: 1352
        case .response: 1220
        case .cookieReply: 64
        case .transport: 32
        }
    }
}

/// The 16 bytes before the encrypted records of a transport datagram, which are also its associated data:
/// type, lane, two reserved bytes, receiver index, counter; big-endian (protocol.md, 1).
public struct SealedHeader: Sendable {
    /// Length in bytes.
    @inlinable
    public static var length: Int { 16 }
    /// The least length of a transport datagram: header and AEAD tag.
    @inlinable
    public static var leastDatagram: Int { 32 }

    /// The sender's lane.
    public let lane: UInt8
    /// The receiver's name for the key pair.
    public let receiver: ReceiverIndex
    /// The datagram's number on its lane, which makes the nonce.
    public let counter: UInt64

    /// From its parts.
    @inlinable
    public init(lane: UInt8, receiver: ReceiverIndex, counter: UInt64) {
        self.lane = lane
        self.receiver = receiver
        self.counter = counter
    }

    /// What a datagram turned out to be.
    public enum Parsed: Sendable {
        /// Transport data; nothing in it is authentic yet.
        case header(SealedHeader)
        /// To be dropped and counted.
        case drop(DropReason)
    }

    /// Reads the header of a datagram of any length.
    @inlinable
    public static func parse(_ datagram: RawSpan) -> Parsed {
        guard datagram.byteCount > 0 else { return .drop(.malformed) }
        guard datagram.readUInt8(at: 0) == MessageType.transport.rawValue else { return .drop(.unknownMessage) }
        guard datagram.byteCount >= leastDatagram else { return .drop(.malformed) }
        guard datagram.readUInt16(at: 2) == 0 else { return .drop(.reservedNotZero) }
        return .header(
            SealedHeader(
                lane: datagram.readUInt8(at: 1),
                receiver: ReceiverIndex(datagram.readUInt32(at: 4)),
                counter: datagram.readUInt64(at: 8)
            )
        )
    }

    /// Writes the header at the start of a datagram, which must have room for it.
    @inlinable
    public func write(into datagram: inout MutableRawSpan) {
        datagram.write(MessageType.transport.rawValue, at: 0)
        datagram.write(lane, at: 1)
        datagram.write(UInt16(0), at: 2)
        datagram.write(receiver.rawValue, at: 4)
        datagram.write(counter, at: 8)
    }
}
