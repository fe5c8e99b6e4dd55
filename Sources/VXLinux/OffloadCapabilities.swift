/// What the kernel does for many packets at once on a TAP device; each is asked for when the device is made, and left out
/// where the kernel refuses it.
public struct TAPOffloads: OptionSet, Sendable {
    /// The set as bits.
    public let rawValue: UInt8

    /// From bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Frames come with partial checksums (TUN_F_CSUM); the others need it.
    public static let checksum = TAPOffloads(rawValue: 1)
    /// TCP super-frames, both families, with ECN (TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN).
    public static let tcpSegmentation = TAPOffloads(rawValue: 2)
    /// UDP super-frames, both families (TUN_F_USO4, TUN_F_USO6; Linux 6.2).
    public static let udpSegmentation = TAPOffloads(rawValue: 4)

    /// Everything.
    public static let all: TAPOffloads = [.checksum, .tcpSegmentation, .udpSegmentation]
}
