import VXControl

/// The leases of a cluster's nodes, and what is new of them. Most updates of a node are the kubelet's, and change none.
struct NodeTable: Sendable {
    private enum Entry: Sendable, Equatable {
        case lease(Lease)
        case unreadable(String)
    }

    private let annotations: NodeAnnotations
    private var entries: [String: Entry] = [:]

    init(_ annotations: NodeAnnotations) { self.annotations = annotations }

    /// How many there are.
    var count: Int { entries.count }

    /// All nodes: the snapshot, then what cannot be read.
    mutating func replace(_ nodes: [NodeObject]) -> [DirectoryEvent] {
        entries = [:]
        for node in nodes { entries[node.name] = entry(node) }
        var leases: [Lease] = []
        var unreadable: [DirectoryEvent] = []
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .lease(let lease): leases.append(lease)
            case .unreadable(let why): unreadable.append(.unreadable(name, why: why))
            }
        }
        return [.snapshot(leases)] + unreadable
    }

    /// A node is new, or was updated.
    mutating func put(_ node: NodeObject) -> DirectoryEvent? {
        let new = entry(node)
        guard new != entries[node.name] else { return nil }
        entries[node.name] = new
        switch new {
        case .lease(let lease)?: return .updated(lease)
        case .unreadable(let why)?: return .unreadable(node.name, why: why)
        case nil: return .removed(node.name)
        }
    }

    /// A node is gone.
    mutating func remove(_ name: String) -> DirectoryEvent? {
        entries.removeValue(forKey: name).map { _ in .removed(name) }
    }

    private func entry(_ node: NodeObject) -> Entry? {
        do {
            return try annotations.lease(of: node).map(Entry.lease)
        } catch {
            return .unreadable(error.description)
        }
    }
}
