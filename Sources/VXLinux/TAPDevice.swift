import CVXLinux
import Glibc
import VXWire

/// One queue of a TAP device: Ethernet frames in and out, each behind a vnet header (virtio_net_hdr, 10 bytes). The device
/// goes when its last queue is closed.
public struct TAPDevice: ~Copyable {
    /// For the event loop; non-blocking.
    public let descriptor: FileDescriptor
    /// The interface's name.
    public let name: String
    /// What the kernel does for many packets at once, of what was asked for.
    public let offloads: TAPOffloads

    /// Makes the device, or opens one more queue of it.
    /// - Parameters:
    ///   - name: at most 15 bytes.
    ///   - offloads: what is wanted; the kernel may refuse some.
    /// - Throws: when the device cannot be made; the text says what to do.
    public init(name: String, offloads wanted: TAPOffloads = .all) throws(SystemCallError) {
        let number = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
        if number < 0 {
            throw .last("open", "/dev/net/tun; load the tun module, or give the container this device")
        }
        let file = FileDescriptor(owning: number)
        if vx_tun_set_iff(number, name, Int16(truncatingIfNeeded: VX_IFF_TAP_FLAGS)) < 0 {
            throw Self.explain(errno, name: name)
        }
        if vx_tun_set_vnet_header_size(number, CInt(VirtioNetHeader.length)) < 0 {
            throw .last("ioctl TUNSETVNETHDRSZ", "device \(name)")
        }
        offloads = Self.negotiate(number, wanted: wanted)
        descriptor = file
        self.name = name
    }

    /// Stands where there is no device: nothing is read, and every write fails.
    public static var absent: TAPDevice { TAPDevice(absent: ()) }

    /// Whether it stands where there is no device.
    public var isAbsent: Bool { descriptor.rawValue < 0 }

    private init(absent: Void) {
        descriptor = FileDescriptor(owning: -1)
        name = ""
        // What has no frames lacks nothing for them.
        offloads = .all
    }

    /// Asks for less and less until the kernel agrees; without any offload frames simply come one by one.
    private static func negotiate(_ number: CInt, wanted: TAPOffloads) -> TAPOffloads {
        var candidate = wanted.contains(.checksum) ? wanted : []
        for refused in [TAPOffloads.udpSegmentation, .tcpSegmentation, .checksum] {
            if vx_tun_set_offload(number, flags(candidate)) == 0 { return candidate }
            candidate.remove(refused)
        }
        _ = vx_tun_set_offload(number, 0)
        return []
    }

    private static func flags(_ offloads: TAPOffloads) -> UInt32 {
        var flags: UInt32 = 0
        if offloads.contains(.checksum) { flags |= UInt32(VX_TUN_F_CSUM) }
        if offloads.contains(.tcpSegmentation) { flags |= UInt32(VX_TUN_F_TSO) }
        if offloads.contains(.udpSegmentation) { flags |= UInt32(VX_TUN_F_USO) }
        return flags
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

    /// Whether somebody removed the device: nothing can be read or written any more.
    public var isGone: Bool { descriptor.rawValue >= 0 && vx_tun_is_attached(descriptor.rawValue) == 0 }

    /// Reads one frame or super-frame to `frame`; the ten bytes before it take its vnet header.
    /// - Returns: the frame's length, or nil when nothing waits or the device is gone.
    @inline(__always)
    public func readFrame(into frame: UnsafeMutableRawPointer, size: Int) -> Int? {
        let start = frame - VirtioNetHeader.length
        let number = descriptor.rawValue
        guard number >= 0 else { return nil }
        let count = retryingInterrupted { read(number, start, size + VirtioNetHeader.length) }
        return count > VirtioNetHeader.length ? count - VirtioNetHeader.length : nil
    }

    /// Writes one frame or super-frame in pieces: the vnet header first.
    /// - Parameters:
    ///   - pieces: an array in the layout of `iovec`: address, then length in bytes, each of a machine word.
    ///   - count: how many pieces.
    /// - Returns: false when the kernel did not take it: the device is down, or the frame does not suit it.
    @inline(__always)
    public func writeFrame(pieces: UnsafeRawPointer, count: Int) -> Bool {
        let number = descriptor.rawValue
        guard number >= 0 else { return false }
        let vectors = pieces.assumingMemoryBound(to: iovec.self)
        return retryingInterrupted { writev(number, vectors, CInt(truncatingIfNeeded: count)) } > 0
    }
}
