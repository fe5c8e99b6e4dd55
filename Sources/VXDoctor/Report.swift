/// What `vxseal doctor --json` prints; schema `vxseal.doctor/1`.
public struct DoctorReport: Encodable, Sendable {
    /// The schema's name and number.
    public let schema = "vxseal.doctor/1"
    /// The node.
    public let node: String?
    /// Whether its daemon answered.
    public let daemon: Bool
    /// What was found; empty on a healthy node.
    public let findings: [Finding]
    /// Identifiers of what `--fix` has mended, which is not among the findings any more.
    public var repaired: [String] = []

    /// From its parts.
    public init(node: String?, daemon: Bool, findings: [Finding]) {
        self.node = node
        self.daemon = daemon
        self.findings = findings
    }

    /// The worst of what was found; nil without anything.
    public var worst: Severity? { findings.map(\.severity).max() }
}
