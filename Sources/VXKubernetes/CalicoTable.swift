import VXControl
import VXWire

/// The nodes and blocks of a Calico cluster, joined to leases, and what is new of them.
struct CalicoTable: Sendable {
    /// Calico's VNI and UDP port, where nobody has changed them (felix/config/config_params.go).
    static let vni = 4096

    private enum Entry: Sendable, Equatable {
        case node(CalicoNode)
        case unreadable(String)
    }

    /// This node's name.
    private let own: String
    /// Nodes in this node's own subnet are reached without VXLAN: the pool's `vxlanMode: CrossSubnet`.
    private let isCrossSubnet: Bool
    private var nodes: [String: Entry] = [:]
    private var blocks: [String: [CalicoBlock.Share]] = [:]
    /// By node and block.
    private var prefixes: [String: [String: [IPPrefix]]] = [:]
    /// What was told of each node.
    private var told: [String: DirectoryEvent] = [:]
    private var hasNodes = false
    private var hasBlocks = false

    /// Both lists are there.
    var isComplete: Bool { hasNodes && hasBlocks }

    init(own: String, isCrossSubnet: Bool) {
        self.own = own
        self.isCrossSubnet = isCrossSubnet
    }

    /// What is told of nodes: nothing before both lists are there.
    mutating func take(_ news: ResourceNews<NodeObject>) -> [DirectoryEvent] {
        switch news {
        case .replaced(let all):
            nodes = [:]
            for node in all { nodes[node.name] = Self.entry(node) }
            hasNodes = true
            return snapshot()
        case .put(let node):
            let new = Self.entry(node)
            guard nodes.updateValue(new, forKey: node.name) != new else { return [] }
            // What is on this node's link depends on its own address.
            return node.name == own && isCrossSubnet ? changes(Array(nodes.keys)) : changes([node.name])
        case .removed(let name):
            nodes[name] = nil
            return changes([name])
        case .unreachable, .reachable: return []
        }
    }

    /// What is told of blocks.
    mutating func take(_ news: ResourceNews<CalicoBlock>) -> [DirectoryEvent] {
        switch news {
        case .replaced(let all):
            blocks = [:]
            prefixes = [:]
            for block in all { _ = set(block.shares, of: block.name) }
            hasBlocks = true
            return snapshot()
        case .put(let block): return changes(set(block.shares, of: block.name).sorted())
        case .removed(let name): return changes(set([], of: name).sorted())
        case .unreachable, .reachable: return []
        }
    }

    /// - Returns: the nodes that this is of.
    private mutating func set(_ shares: [CalicoBlock.Share], of block: String) -> Set<String> {
        let old = blocks[block] ?? []
        guard old != shares else { return [] }
        blocks[block] = shares.isEmpty ? nil : shares
        for share in old { prefixes[share.node]?[block] = nil }
        for share in shares { prefixes[share.node, default: [:]][block, default: []].append(share.prefix) }
        let names = Set((old + shares).map(\.node))
        for name in names where prefixes[name]?.isEmpty == true { prefixes[name] = nil }
        return names
    }

    private static func entry(_ node: NodeObject) -> Entry {
        do {
            return .node(try CalicoNode(node))
        } catch {
            return .unreadable(error.description)
        }
    }

    private mutating func snapshot() -> [DirectoryEvent] {
        guard isComplete else { return [] }
        told = [:]
        var leases: [Lease] = []
        var unreadable: [DirectoryEvent] = []
        for name in nodes.keys.sorted() {
            guard let event = event(name) else { continue }
            told[name] = event
            if case .updated(let lease) = event { leases.append(lease) } else { unreadable.append(event) }
        }
        return [.snapshot(leases)] + unreadable
    }

    private mutating func changes(_ names: [String]) -> [DirectoryEvent] {
        guard isComplete else { return [] }
        return names.compactMap { name in
            let new = event(name)
            guard new != told[name] else { return nil }
            told[name] = new
            return new ?? .removed(name)
        }
    }

    private func event(_ name: String) -> DirectoryEvent? {
        switch nodes[name] {
        case .unreadable(let why)?: .unreadable(name, why: why)
        case .node(let node)?: lease(node).map(DirectoryEvent.updated)
        case nil: nil
        }
    }

    /// The lease of a node; nil for one that has no device, or no addresses.
    func lease(of name: String) -> Lease? {
        guard case .node(let node)? = nodes[name] else { return nil }
        return lease(node)
    }

    private func lease(_ node: CalicoNode) -> Lease? {
        let all = (prefixes[node.name] ?? [:]).values.joined().filter { prefix in
            (prefix.address.isIPv6 ? node.v6 : node.v4) != nil
        }.sorted(by: Self.isBefore)
        guard !all.isEmpty else { return nil }
        let first = all.first { !$0.address.isIPv6 }
        let firstV6 = all.first { $0.address.isIPv6 }
        var lease = Lease(id: node.name, node: node.name, subnet: first, subnetV6: firstV6, publicIP: nil)
        lease.extraSubnets = all.filter { $0 != first && $0 != firstV6 }
        if let v4 = node.v4 {
            if case .v4(let address) = v4.underlay.address { lease.publicIP = address }
            if case .v4(let address) = v4.vtep { lease.vtep = address }
            lease.backend = BackendData(vni: Self.vni, mac: v4.mac)
        }
        if let v6 = node.v6 {
            if case .v6(let address) = v6.underlay.address { lease.publicIPv6 = address }
            if case .v6(let address) = v6.vtep { lease.vtepV6 = address }
            lease.backendV6 = BackendData(vni: Self.vni, mac: v6.mac)
        }
        lease.isDirect = isDirect(node)
        return lease
    }

    private func isDirect(_ node: CalicoNode) -> Bool {
        guard isCrossSubnet, node.name != own, case .node(let mine)? = nodes[own] else { return false }
        // A family that one of both lacks has no routes between them.
        let families = [(mine.v4, node.v4), (mine.v6, node.v6)].compactMap { mine, theirs in
            mine.flatMap { mine in theirs.map { mine.underlay.contains($0.underlay.address) } }
        }
        return !families.isEmpty && families.allSatisfy(\.self)
    }

    /// Whole blocks before single addresses, IPv4 before IPv6, then by address.
    private static func isBefore(_ left: IPPrefix, _ right: IPPrefix) -> Bool {
        if left.address.isIPv6 != right.address.isIPv6 { return !left.address.isIPv6 }
        if left.length != right.length { return left.length < right.length }
        return left.address != right.address && left.address.isAtMost(right.address)
    }
}
