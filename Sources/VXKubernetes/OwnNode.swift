import VXControl
import VXWire

/// What becomes of the own node in the API.
struct OwnNode: Sendable {
    enum State: Sendable, Equatable {
        case unchanged
        /// Its annotations are not what was published.
        case overwritten
        /// Its subnets are no longer its own, and why; told once.
        case lost(String)
    }

    private let lease: Lease
    private let annotations: NodeAnnotations
    private var isLost = false

    init(_ lease: Lease, _ annotations: NodeAnnotations) {
        self.lease = lease
        self.annotations = annotations
    }

    /// - Parameters:
    ///   - node: nil where there is none.
    ///   - published: what its annotations were made to say last; nil before that.
    mutating func look(at node: NodeObject?, published: Lease?) -> State {
        guard !isLost else { return .unchanged }
        guard let node else { return lose("the node \(lease.id) is gone from the API") }
        let subnets = (try? node.subnets())?.all ?? []
        guard lease.subnets.allSatisfy(subnets.contains) else {
            return lose(
                "the node \(lease.id) now has the podCIDRs \(subnets.map(\.description).joined(separator: ", ")), not"
                    + " \(lease.subnets.map(\.description).joined(separator: ", "))"
            )
        }
        guard let published, !annotations.changes(of: node, to: published).isEmpty else { return .unchanged }
        return .overwritten
    }

    private mutating func lose(_ why: String) -> State {
        isLost = true
        return .lost(why)
    }
}
