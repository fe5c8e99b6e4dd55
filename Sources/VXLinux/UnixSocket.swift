import CVXLinux
import Glibc

/// Where a UNIX socket is: a path, or a name in the network namespace's abstract space, written with `@` before it.
struct UnixAddress: Sendable {
    private let address: sockaddr_un
    private let length: socklen_t

    /// Nil for a name that is empty or too long (unix(7): 107 bytes).
    init?(_ name: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        let isAbstract = bytes[0] == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        self.address = address
        // An abstract name is as long as the length says; a path ends with a zero.
        let end = MemoryLayout.offset(of: \sockaddr_un.sun_path)! + bytes.count
        length = socklen_t(isAbstract ? end : end + 1)
    }

    /// For a system call.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}

/// UNIX stream sockets, as far as start-up needs them.
public enum UnixSocket {
    /// Whether somebody accepts connections on this path.
    public static func answers(_ path: String) -> Bool { listener(on: path) != nil }

    /// The process that listens on this path (unix(7), SO_PEERCRED); nil where nobody does.
    public static func listener(on path: String) -> CInt? {
        guard let address = UnixAddress(path) else { return nil }
        let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        let descriptor = FileDescriptor(owning: number)
        guard address.withPointer({ connect(descriptor.rawValue, $0, $1) == 0 }) else { return nil }
        let process = vx_peer_process(descriptor.rawValue)
        return process < 0 ? nil : process
    }
}
