import VXControl

/// Why etcd does not do what it was asked. No text has a password or token in it.
enum EtcdError: Error, Equatable, CustomStringConvertible {
    /// It cannot be reached, or what answers is not etcd; where, and why.
    case unreachable(String, String)
    /// It refuses: gRPC's code, its own words, where.
    case refused(Int, String, String)
    /// An answer is longer than one is read.
    case tooLarge(String)
    /// There is more below the prefix than is read.
    case tooMany
    /// A revision is asked for that is no longer kept.
    case compacted
    /// What the node itself is set up with cannot be used.
    case settings(String)

    /// gRPC's codes, as far as they matter here (google.golang.org/grpc/codes).
    enum Code {
        static let unknown = 2
        static let invalidArgument = 3
        static let deadlineExceeded = 4
        static let notFound = 5
        static let resourceExhausted = 8
        static let failedPrecondition = 9
        static let outOfRange = 11
        static let internalError = 13
        static let unavailable = 14
        static let unauthenticated = 16
    }

    /// Another member may do what this one does not.
    var isOfMember: Bool {
        switch self {
        case .unreachable: true
        case .refused(let code, _, _):
            [Code.unknown, Code.deadlineExceeded, Code.internalError, Code.unavailable].contains(code)
        case .tooLarge, .tooMany, .compacted, .settings: false
        }
    }

    /// Asking again may help.
    var isTransient: Bool {
        switch self {
        case .refused(let code, _, _): isOfMember || code == Code.resourceExhausted
        case .unreachable, .compacted, .tooLarge, .tooMany: true
        case .settings: false
        }
    }

    /// The token is one that etcd does not know, or no longer.
    var isOfToken: Bool {
        guard case .refused(let code, let message, _) = self else { return false }
        return code == Code.unauthenticated || message.contains("revision of auth store is old")
    }

    /// Authentication is asked for, and etcd has it switched off.
    var isOfAuthenticationThatIsOff: Bool {
        guard case .refused(Code.failedPrecondition, let message, _) = self else { return false }
        return message.contains("authentication is not enabled")
    }

    /// A smaller answer may pass.
    var isOfSize: Bool {
        switch self {
        case .tooLarge: true
        case .refused(Code.resourceExhausted, let message, _): message.contains("larger than max")
        case .refused, .unreachable, .tooMany, .compacted, .settings: false
        }
    }

    /// A lease of this id is there already.
    var isOfLeaseThatExists: Bool {
        guard case .refused(Code.failedPrecondition, let message, _) = self else { return false }
        return message.contains("lease already exists")
    }

    /// The same error without a secret that etcd may have repeated.
    func concealing(_ secret: String?) -> EtcdError {
        guard case .refused(let code, let message, let endpoint) = self, let secret, !secret.isEmpty,
            message.contains(secret)
        else { return self }
        return .refused(code, "a text that repeats a secret", endpoint)
    }

    /// The lease that was named has expired or was revoked.
    var isOfLease: Bool {
        guard case .refused(let code, let message, _) = self else { return false }
        return code == Code.notFound && message.contains("lease not found")
    }

    var description: String {
        switch self {
        case .unreachable(let endpoint, let why): "etcd at \(endpoint): \(why)"
        case .refused(Code.invalidArgument, let message, let endpoint) where message.contains("authentication failed"):
            "etcd at \(endpoint) refuses the user: \(message); see username and passwordFile"
        case .refused(let code, let message, let endpoint): "etcd at \(endpoint) refuses: \(message) (code \(code))"
        case .tooLarge(let endpoint): "etcd at \(endpoint): an answer that is longer than any that is read"
        case .tooMany:
            "etcd has more below the prefix than \(LeaseTable.most) entries or \(EtcdClient.listLimit >> 20) MiB: see what writes "
                + "there, and take it away"
        case .compacted: "etcd has compacted the revision that was asked for"
        case .settings(let text): text
        }
    }

    /// A foreign text, of one line and short.
    static func printable(_ text: String) -> String {
        String(text.unicodeScalars.prefix(200).map { (0x20...0x7e).contains($0.value) ? Character($0) : "?" })
    }

    /// What callers of the directory are told.
    var directoryError: DirectoryError { DirectoryError(description, isTransient: isTransient) }
}
