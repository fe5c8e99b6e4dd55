import Glibc

/// An open file descriptor, closed when its owner goes.
public struct FileDescriptor: ~Copyable, Sendable {
    /// The number.
    public let rawValue: CInt

    /// Takes ownership.
    public init(owning rawValue: CInt) { self.rawValue = rawValue }

    deinit { close(rawValue) }
}
