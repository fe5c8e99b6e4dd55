import Glibc

/// A system call that failed: its name, the errno, and what it was about.
public struct SystemCallError: Error, CustomStringConvertible {
    /// The call, as its manual page names it.
    public let call: String
    /// The kernel's answer.
    public let code: CInt
    /// What it was done to, and how to mend it where that is known.
    public let context: String

    /// From its parts.
    public init(call: String, code: CInt, context: String) {
        self.call = call
        self.code = code
        self.context = context
    }

    /// The error of a call that has just returned -1.
    static func last(_ call: String, _ context: String) -> SystemCallError {
        SystemCallError(call: call, code: errno, context: context)
    }

    /// A port or address that somebody else has.
    public var isAddressInUse: Bool { code == EADDRINUSE }

    /// Call, text of the errno, context.
    public var description: String { "\(call): \(String(cString: strerror(code))), \(context)" }
}

/// Runs a call again while it is interrupted. EBADF and EFAULT are this program's own mistakes, and trap.
@inline(__always)
func retryingInterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR {
            precondition(result >= 0 || (errno != EBADF && errno != EFAULT), "a closed descriptor or a wild address")
            return result
        }
    }
}
