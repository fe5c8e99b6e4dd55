/// What `POST /v1/reload` answers and `vxseal reload --json` prints: schema `vxseal.reload/1`.
public struct ReloadReply: Codable, Sendable {
    /// The schema's name and number.
    public var schema = "vxseal.reload/1"
    /// Whether the new configuration is in use.
    public var isApplied: Bool
    /// A line for each network and peer that changed: `+` is new, `-` is gone, `~` is another.
    public var changes: [String] = []
    /// Why the new configuration is refused, and the old one stays; every reason at once.
    public var problems: [String] = []
    /// The configuration would be refused at start, too; else it needs a restart.
    public var isBadConfiguration = false
    /// What could not be done of what was applied.
    public var warnings: [String] = []

    /// Of a configuration that is in use.
    public init(changes: [String], warnings: [String] = []) {
        isApplied = true
        self.changes = changes
        self.warnings = warnings
    }

    /// Of one that is not.
    public init(refusedBecause problems: [String], isBadConfiguration: Bool) {
        isApplied = false
        self.problems = problems
        self.isBadConfiguration = isBadConfiguration
    }
}
