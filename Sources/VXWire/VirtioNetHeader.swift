/// What a kernel and a program tell each other of a frame on a TAP device (virtio 1.2, 5.1.6; `IFF_VNET_HDR`): what is left
/// to do of its checksum, and whether it is a super-frame that stands for many segments. Numbers are in the machine's own
/// byte order.
public struct VirtioNetHeader: Equatable, Sendable {
    /// Length in bytes.
    @inlinable
    public static var length: Int { 10 }
    /// Flag: the checksum field holds the sum of the pseudo-header only.
    @inlinable
    public static var needsChecksum: UInt8 { 1 }

    /// Kinds of super-frames.
    public enum Segmentation {
        /// An ordinary frame.
        @inlinable
        public static var none: UInt8 { 0 }
        /// TCP over IPv4.
        @inlinable
        public static var tcp4: UInt8 { 1 }
        /// TCP over IPv6.
        @inlinable
        public static var tcp6: UInt8 { 4 }
        /// UDP datagrams of one flow and size, over either.
        @inlinable
        public static var udp: UInt8 { 5 }
        /// Beside a TCP kind: the first segment has CWR set (RFC 3168).
        @inlinable
        public static var ecn: UInt8 { 0x80 }
    }

    /// `needsChecksum`, and others that matter to nobody here.
    public var flags: UInt8
    /// A `Segmentation`.
    public var segmentation: UInt8
    /// Bytes of all headers of a super-frame; a hint.
    public var headerLength: UInt16
    /// Payload bytes of each segment of a super-frame.
    public var segmentSize: UInt16
    /// Where the checksum starts to count, from the start of the frame.
    public var checksumStart: UInt16
    /// Where the checksum field stands, from there.
    public var checksumOffset: UInt16

    /// Of an ordinary frame that is complete.
    @inlinable
    public init() {
        (flags, segmentation, headerLength, segmentSize, checksumStart, checksumOffset) = (0, 0, 0, 0, 0, 0)
    }

    /// Of an ordinary frame with a checksum to be completed.
    @inlinable
    public init(checksumStart: UInt16, checksumOffset: UInt16) {
        self.init()
        flags = Self.needsChecksum
        self.checksumStart = checksumStart
        self.checksumOffset = checksumOffset
    }

    /// Reads ten bytes.
    @inlinable
    public init(reading pointer: UnsafeRawPointer) {
        flags = unsafe pointer.load(as: UInt8.self)
        segmentation = unsafe pointer.load(fromByteOffset: 1, as: UInt8.self)
        headerLength = unsafe pointer.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
        segmentSize = unsafe pointer.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        checksumStart = unsafe pointer.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        checksumOffset = unsafe pointer.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
    }

    /// Writes ten bytes.
    @inlinable
    public func write(to pointer: UnsafeMutableRawPointer) {
        unsafe pointer.storeBytes(of: flags, as: UInt8.self)
        unsafe pointer.storeBytes(of: segmentation, toByteOffset: 1, as: UInt8.self)
        unsafe pointer.storeBytes(of: headerLength, toByteOffset: 2, as: UInt16.self)
        unsafe pointer.storeBytes(of: segmentSize, toByteOffset: 4, as: UInt16.self)
        unsafe pointer.storeBytes(of: checksumStart, toByteOffset: 6, as: UInt16.self)
        unsafe pointer.storeBytes(of: checksumOffset, toByteOffset: 8, as: UInt16.self)
    }

    /// Whether the checksum is still to be completed.
    @inlinable
    public var isPartial: Bool { flags & Self.needsChecksum != 0 }

    /// Whether the frame stands for many segments.
    @inlinable
    public var isSuperFrame: Bool { segmentation != Segmentation.none }
}
