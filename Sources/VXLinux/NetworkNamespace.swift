import CVXLinux
import Glibc

/// A network namespace (network_namespaces(7)), held open.
public struct NetworkNamespace: ~Copyable {
    private let file: FileDescriptor

    /// Opens the namespace that a path stands for, as `/run/netns/NAME` or `/proc/PID/ns/net`.
    public init(path: String) throws(SystemCallError) {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        if number < 0 { throw .last("open", path) }
        file = FileDescriptor(owning: number)
    }

    /// The one that the calling thread is in.
    public static func current() throws(SystemCallError) -> NetworkNamespace {
        try NetworkNamespace(path: "/proc/thread-self/ns/net")
    }

    /// The descriptor, for netlink requests that name a namespace.
    public var descriptor: CInt { file.rawValue }

    /// Whether both are the same namespace.
    public func isSame(as other: borrowing NetworkNamespace) -> Bool {
        var mine = stat()
        var others = stat()
        return fstat(descriptor, &mine) == 0 && fstat(other.descriptor, &others) == 0
            && mine.st_dev == others.st_dev && mine.st_ino == others.st_ino
    }

    /// Runs something with the calling thread in this namespace, and takes the thread back. Sockets that are opened inside stay
    /// there.
    public func run<Result: ~Copyable>(
        _ body: () throws -> Result
    ) throws -> Result {
        let home = try Self.current()
        if setns(descriptor, Self.networkOnly) < 0 { throw SystemCallError.last("setns", "a network namespace") }
        defer {
            // Going on in the wrong namespace would change the wrong machine's devices.
            precondition(setns(home.descriptor, Self.networkOnly) == 0, "no way back from a network namespace")
        }
        return try body()
    }

    /// CLONE_NEWNET of linux/sched.h.
    private static var networkOnly: CInt { 0x4000_0000 }
}
