import Glibc

/// An open file descriptor, closed when its owner goes.
public struct FileDescriptor: ~Copyable, Sendable {
    /// The number.
    public let rawValue: CInt

    /// Takes ownership; a negative number stands for none.
    public init(owning rawValue: CInt) { self.rawValue = rawValue }

    deinit { if rawValue >= 0 { close(rawValue) } }
}
