import CVXLinux
import Glibc
public import VXWire

/// One queue of a TAP device: Ethernet frames in and out, each behind a vnet header (virtio_net_hdr, 10 bytes), which is
/// empty as long as no offload is switched on. The device goes when its last queue is closed.
public struct TAPDevice: ~Copyable {
    /// Length of the vnet header before each frame.
    public static let vnetHeaderLength = 10

    /// For the event loop; non-blocking.
    public let descriptor: FileDescriptor
    /// The interface's name.
    public let name: String

    /// Makes the device, or opens one more queue of it.
    /// - Throws: when the device cannot be made; the text says what to do.
    public init(name: String) throws(SystemCallError) {
        let number = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
        if number < 0 {
            throw .last("open", "/dev/net/tun; load the tun module, or give the container this device")
        }
        let file = FileDescriptor(owning: number)
        if vx_tun_set_iff(number, name, Int16(truncatingIfNeeded: VX_IFF_TAP_FLAGS)) < 0 {
            throw Self.explain(errno, name: name)
        }
        if vx_tun_set_offload(number, 0) < 0 { throw .last("ioctl TUNSETOFFLOAD", "device \(name)") }
        if vx_tun_set_vnet_header_size(number, CInt(Self.vnetHeaderLength)) < 0 {
            throw .last("ioctl TUNSETVNETHDRSZ", "device \(name)")
        }
        descriptor = file
        self.name = name
    }

    private static func explain(_ code: CInt, name: String) -> SystemCallError {
        let mend =
            switch code {
            case EPERM: "needs CAP_NET_ADMIN; run as root or grant the capability"
            case EBUSY, EINVAL, EEXIST: "the name is taken by another device; choose another, or delete that one"
            default: "the device could not be made"
            }
        return SystemCallError(call: "ioctl TUNSETIFF", code: code, context: "device \(name): \(mend)")
    }

    /// Reads one frame to `frame`; the ten bytes before it take its vnet header.
    /// - Returns: the frame's length, or nil when nothing waits or the device is gone.
    @inline(__always)
    public func readFrame(into frame: UnsafeMutableRawPointer, size: Int) -> Int? {
        let start = frame - Self.vnetHeaderLength
        let number = descriptor.rawValue
        let count = retryingInterrupted { read(number, start, size + Self.vnetHeaderLength) }
        return count > Self.vnetHeaderLength ? count - Self.vnetHeaderLength : nil
    }

    /// Writes one frame; the ten bytes before it are overwritten with a vnet header, which is empty but for what the kernel
    /// has to complete of the checksum.
    /// - Returns: false when the kernel did not take it: the device is down, or the frame is too large for it.
    @inline(__always)
    public func writeFrame(_ frame: UnsafeMutableRawPointer, count: Int, checksum: PartialChecksum?) -> Bool {
        let start = frame - Self.vnetHeaderLength
        start.initializeMemory(as: UInt8.self, repeating: 0, count: Self.vnetHeaderLength)
        if let checksum {
            // virtio 1.2, 5.1.6: flags at 0, csum_start at 6, csum_offset at 8; in the machine's own byte order here.
            start.storeBytes(of: UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM), as: UInt8.self)
            start.storeBytes(of: checksum.start, toByteOffset: 6, as: UInt16.self)
            start.storeBytes(of: checksum.offset, toByteOffset: 8, as: UInt16.self)
        }
        let number = descriptor.rawValue
        return retryingInterrupted { write(number, start, count + Self.vnetHeaderLength) } > 0
    }
}
