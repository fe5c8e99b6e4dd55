/// One rule of a ClusterRole.
public struct AccessRule: Sendable, Equatable, Hashable {
    /// The API group; empty for the core one.
    public var group: String
    /// The resource, with its subresource after a slash.
    public var resource: String
    /// What may be done.
    public var verb: String

    /// From its parts.
    public init(group: String, resource: String, verb: String) {
        self.group = group
        self.resource = resource
        self.verb = verb
    }
}

/// Who may do what.
public enum Role: Sendable, Equatable {
    /// Everything.
    case administrator
    /// What the rules allow.
    case limited(Set<AccessRule>)

    func allows(_ rule: AccessRule) -> Bool {
        switch self {
        case .administrator: true
        case .limited(let rules): rules.contains(rule)
        }
    }
}

/// What the stand-in does wrong when it is told to.
public enum Fault: Sendable, Equatable {
    /// It answers with a status, and after how many seconds to come again.
    case status(Int, retryAfter: Int?)
    /// It ends the connection without a whole answer.
    case dropped
    /// It waits before it answers.
    case slow(seconds: Double)
    /// It answers with what is no JSON.
    case garbage
}
