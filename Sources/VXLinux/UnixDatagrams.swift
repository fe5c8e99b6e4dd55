import CVXLinux
import Glibc

/// Sends datagrams to a UNIX socket that somebody else may open, close and open again: each is addressed by itself.
public final class UnixDatagrams: Sendable {
    private let descriptor: FileDescriptor
    private let address: UnixAddress

    /// To a path, or an abstract name with `@` before it; nil for a name that is no address, or without a socket.
    public init?(to name: String) {
        guard let address = UnixAddress(name) else { return nil }
        let number = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        descriptor = FileDescriptor(owning: number)
        self.address = address
    }

    /// Sends one datagram.
    /// - Parameter mayWait: until the receiver has room, rather than lose it.
    /// - Returns: 0, or the errno.
    @discardableResult
    public func send(_ bytes: [UInt8], mayWait: Bool) -> CInt {
        let flags = CInt(MSG_NOSIGNAL) | (mayWait ? 0 : CInt(MSG_DONTWAIT))
        let sent = address.withPointer { address, length in
            bytes.withUnsafeBytes { buffer in
                retryingInterrupted {
                    sendto(descriptor.rawValue, buffer.baseAddress, buffer.count, flags, address, length)
                }
            }
        }
        return sent < 0 ? errno : 0
    }
}
