import Foundation

/// A change of a node's object, written by one PATCH of `nodes/NAME/status`: the subresource takes annotations too, and
/// the right to it alone is needed.
struct NodeChange: Sendable, Equatable {
    /// What becomes of the condition `NetworkUnavailable`.
    enum Condition: Sendable, Equatable {
        case unchanged
        /// Set to False: pods may be scheduled.
        case isUp
        case removed
    }

    /// The condition's reason, by which what vxseal wrote is known.
    static let upReason = "VxsealIsUp"

    /// New values; nil removes.
    var annotations: [String: String?] = [:]
    var condition = Condition.unchanged

    var isEmpty: Bool { annotations.isEmpty && condition == .unchanged }

    /// The body, a strategic merge patch: conditions are merged by their type.
    /// - Parameter now: for the condition's times.
    func body(now: Date) throws -> Data {
        var patch = Patch()
        if !annotations.isEmpty { patch.metadata = Patch.Metadata(annotations: annotations) }
        switch condition {
        case .unchanged: break
        case .isUp:
            let time = now.formatted(.iso8601)
            patch.status = Patch.Status(conditions: [
                Patch.Condition(
                    status: "False",
                    reason: Self.upReason,
                    message: "vxseal is running on this node",
                    lastTransitionTime: time,
                    lastHeartbeatTime: time
                )
            ])
        case .removed: patch.status = Patch.Status(conditions: [Patch.Condition(directive: "delete")])
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(patch)
    }

    private struct Patch: Encodable {
        struct Metadata: Encodable { var annotations: [String: String?] }
        struct Status: Encodable { var conditions: [Condition] }
        struct Condition: Encodable {
            var directive: String?
            var type = "NetworkUnavailable"
            var status: String?
            var reason: String?
            var message: String?
            var lastTransitionTime: String?
            var lastHeartbeatTime: String?

            enum CodingKeys: String, CodingKey {
                case directive = "$patch"
                case type, status, reason, message, lastTransitionTime, lastHeartbeatTime
            }
        }
        var metadata: Metadata?
        var status: Status?
    }
}
