/// How bad a finding is.
public enum Severity: String, Codable, Sendable, Comparable, CaseIterable {
    /// Good to know; nothing is wrong.
    case info
    /// Works, but not as well or as safely as it should.
    case warning
    /// Does not work.
    case error

    /// By how bad they are.
    public static func < (left: Severity, right: Severity) -> Bool {
        (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }
}

/// What a check is about, in the order that people read.
public enum Topic: String, Codable, Sendable, CaseIterable {
    /// The file, and whether the daemon runs with it.
    case configuration
    /// Key files and the state directory.
    case keys
    /// TAP devices, bridges, and left-overs of other programs.
    case devices
    /// Addresses and routes.
    case routes
    /// UDP ports.
    case ports
    /// Rules that drop.
    case firewall
    /// Connection tracking.
    case tracking
    /// Socket buffers and drops, file descriptors.
    case sockets
    /// Reachability, paths, tripwires.
    case peers
    /// The clock.
    case clock
    /// Who computes the cipher.
    case cipher
    /// What the kernel lacks.
    case kernel
}

/// Something that was found, and what to do about it.
public struct Finding: Encodable, Sendable, Equatable {
    /// Names the kind of finding for programs: `keys.mode`. Never renamed.
    public let id: String
    /// What it is about.
    public let topic: Topic
    /// How bad it is.
    public let severity: Severity
    /// What was found, with names and numbers.
    public let what: String
    /// Why it matters.
    public let why: String
    /// The command that mends it, or what to change; empty where nothing needs to be done.
    public let mend: String
    /// What `--fix` does about it, as a command; nil where that is left to people.
    public let repair: Repair?

    init(
        _ severity: Severity,
        _ id: String,
        _ topic: Topic,
        _ what: String,
        why: String,
        mend: String = "",
        repair: Repair? = nil
    ) {
        self.id = id
        self.topic = topic
        self.severity = severity
        self.what = what
        self.why = why
        self.mend = repair?.command ?? mend
        self.repair = repair
    }
}

/// A change that is safe to make unasked: it takes nothing away from anybody.
public enum Repair: Encodable, Sendable, Equatable {
    /// Only the owner may read a file or enter a directory.
    case mode(path: String, mode: UInt32)
    /// A setting of one of this node's own devices, below /proc/sys.
    case setting(path: String, value: String)
    /// A bridge that this node made and did not remove, since it was killed.
    case bridge(name: String)

    /// As the command.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(command)
    }

    /// The same by hand.
    public var command: String {
        switch self {
        case .mode(let path, let mode): "chmod \(String(mode, radix: 8)) \(path)"
        case .setting(let path, let value):
            "sysctl -w \(path.dropFirst("/proc/sys/".count).split(separator: "/").joined(separator: "."))=\(value)"
        case .bridge(let name): "ip link delete \(name)"
        }
    }
}
