/// What the daemon may still do, in `StatusReply`.
public struct SandboxStatus: Codable, Sendable {
    /// A filter of system calls is in force.
    public var seccomp: Bool
    /// The version of landlock by which files are kept away; absent where none is in force.
    public var landlock: Int?
    /// Neither the daemon nor what it might execute gets more rights.
    public var noNewPrivileges: Bool
    /// The capabilities that it has: `CAP_NET_ADMIN`.
    public var capabilities: [String]
    /// What is not in force though it was asked for, and why.
    public var problems: [String]

    /// From its parts.
    public init(
        seccomp: Bool,
        landlock: Int?,
        noNewPrivileges: Bool,
        capabilities: [String],
        problems: [String]
    ) {
        self.seccomp = seccomp
        self.landlock = landlock
        self.noNewPrivileges = noNewPrivileges
        self.capabilities = capabilities
        self.problems = problems
    }

    /// A line for people.
    public var text: String {
        guard seccomp || landlock != nil else { return "OFF, with \(rights)" }
        let calls = seccomp ? "seccomp" : "NO seccomp"
        let files = landlock.map { "landlock (ABI \($0))" } ?? "NO landlock"
        return "\(calls), \(files), \(rights)"
    }

    private var rights: String {
        switch capabilities.count {
        case 0: "no capabilities"
        // Named where they can be read at a glance.
        case ...3: capabilities.joined(separator: ", ")
        default: "\(capabilities.count) capabilities"
        }
    }
}
