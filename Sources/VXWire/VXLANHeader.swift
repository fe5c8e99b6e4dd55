/// A VXLAN header (RFC 7348, 5): flags, 24 reserved bits, VNI, 8 reserved bits; big-endian.
public struct VXLANHeader: Sendable {
    /// Length in bytes.
    @inlinable
    public static var length: Int { 8 }
    /// The I flag: the VNI is valid.
    @inlinable
    public static var validVNI: UInt8 { 0x08 }

    /// The first byte.
    public let flags: UInt8
    /// The network.
    public let vni: VNI
    /// Every bit but the I flag and the VNI is zero, which RFC 7348 asks of senders only.
    public let reservedIsZero: Bool

    /// Reads the header of a plaintext datagram; nil when it is too short or the I flag is not set.
    @inlinable
    public init?(_ datagram: RawSpan) {
        guard datagram.byteCount >= Self.length else { return nil }
        let first = datagram.readUInt32(at: 0)
        let second = datagram.readUInt32(at: 4)
        flags = UInt8(truncatingIfNeeded: first &>> 24)
        guard flags & Self.validVNI != 0 else { return nil }
        vni = VNI(truncating: second &>> 8)
        reservedIsZero = first == UInt32(Self.validVNI) &<< 24 && second & 0xff == 0
    }

    /// Writes a header with only the I flag set; the span must have room for it.
    @inlinable
    public static func write(vni: VNI, into datagram: inout MutableRawSpan) {
        datagram.write(UInt32(validVNI) &<< 24, at: 0)
        datagram.write(vni.rawValue &<< 8, at: 4)
    }
}
