import CVXLinux
import Glibc

/// A set of capabilities (capabilities(7)), a bit each by its number.
public struct Capabilities: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt64

    /// From its bits.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// CAP_NET_ADMIN: devices, addresses, bridges, socket marks and buffer sizes.
    public static let networkAdministration = Capabilities(rawValue: 1 << 12)

    private static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]

    /// What they are called: `CAP_NET_ADMIN`, in the order of their numbers.
    public var descriptions: [String] {
        (0..<64).filter { rawValue & 1 << UInt64($0) != 0 }.map {
            "CAP_" + ($0 < Self.names.count ? Self.names[$0] : String($0))
        }
    }

    /// Those that the calling thread may use; all, should the kernel not tell.
    static var effective: Capabilities { current?.effective ?? Capabilities(rawValue: .max) }

    private static var current: (effective: Capabilities, permitted: Capabilities)? {
        var (effective, permitted) = (UInt64(0), UInt64(0))
        guard vx_capabilities(&effective, &permitted) == 0 else { return nil }
        return (Capabilities(rawValue: effective), Capabilities(rawValue: permitted))
    }

    /// Leaves the calling thread, and threads and processes that it starts, these at most.
    static func keepOnly(_ kept: Capabilities) throws(SystemCallError) {
        guard let current else { throw .last("capget", "this process") }
        // The bounding set bounds what a program that is executed could get; whoever may not change it has no such rights.
        for number in 0..<CInt(names.count) where kept.rawValue & 1 << UInt64(number) == 0 {
            _ = vx_drop_from_bounding_set(number)
        }
        _ = vx_clear_ambient_capabilities()
        if vx_set_capabilities(current.permitted.intersection(kept).rawValue) < 0 {
            throw .last("capset", "this process")
        }
    }
}
