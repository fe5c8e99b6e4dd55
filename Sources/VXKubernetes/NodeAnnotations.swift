import Foundation
import VXControl
import VXWire

/// Between a node's object and its lease.
struct NodeAnnotations: Sendable {
    let names: AnnotationNames

    // MARK: - Reading

    /// The lease of a node; nil for one that is not of the overlay, or not yet.
    func lease(of node: NodeObject) throws(NodeFailure) -> Lease? {
        guard node.annotations[names.managed] == "true" else { return nil }
        guard SealRecord.isName(node.name) else { throw NodeFailure("its name is none of a node") }
        for name in names.written where node.annotations[name].map(Self.isTooLong) == true {
            throw NodeFailure("its annotation \(name) is longer than \(NodeObject.longestAnnotation) bytes")
        }
        let record = node.annotations[AnnotationNames.record]
        // A node whose record cannot be read must not pass for one that has none.
        if let record, record.utf8.count > SealRecord.largestText {
            throw NodeFailure("its annotation \(AnnotationNames.record) is longer than \(SealRecord.largestText) bytes")
        }
        let subnets = try node.subnets()
        if subnets.isEmpty { return nil }
        var lease = Lease(
            id: node.name,
            node: node.name,
            subnet: subnets.v4,
            subnetV6: subnets.v6,
            publicIP: try publicIP(of: node),
            publicIPv6: try publicIPv6(of: node),
            backendType: node.annotations[names.backendType] ?? "",
            backend: try backend(node, names.backendData),
            backendV6: try backend(node, names.backendV6Data),
            record: record
        )
        // The cluster may assign subnets of a family that the overlay does not carry: its nodes publish nothing for it.
        let hasV4 = lease.publicIP != nil || lease.backend != nil
        let hasV6 = lease.publicIPv6 != nil || lease.backendV6 != nil
        if hasV4, !hasV6, lease.subnet != nil { lease.subnetV6 = nil }
        if hasV6, !hasV4, lease.subnetV6 != nil { lease.subnet = nil }
        return lease
    }

    private static func isTooLong(_ text: String) -> Bool { text.utf8.count > NodeObject.longestAnnotation }

    private func publicIP(of node: NodeObject) throws(NodeFailure) -> IPv4Address? {
        guard let text = node.annotations[names.publicIP], !text.isEmpty else { return nil }
        guard let address = IPv4Address(text) else {
            throw NodeFailure("its annotation \(names.publicIP) is no IPv4 address")
        }
        return address.rawValue == 0 ? nil : address
    }

    private func publicIPv6(of node: NodeObject) throws(NodeFailure) -> IPv6Address? {
        guard let text = node.annotations[names.publicIPv6], !text.isEmpty else { return nil }
        guard let address = IPv6Address(text) else {
            throw NodeFailure("its annotation \(names.publicIPv6) is no IPv6 address")
        }
        return address
    }

    private func backend(_ node: NodeObject, _ name: String) throws(NodeFailure) -> BackendData? {
        guard let text = node.annotations[name], !text.isEmpty else { return nil }
        do {
            return try BackendData(parsing: text)
        } catch {
            throw NodeFailure("its annotation \(name): \(error)")
        }
    }

    /// What the operator has set for a node.
    /// - Throws: `NodeFailure` for what is no address, naming the annotation.
    func settings(of node: NodeObject) throws(NodeFailure) -> NodeSettings {
        NodeSettings(
            localIP: try address(node, names.nodeIP, IPv4Address.init),
            localIPv6: try address(node, names.nodeIPv6, IPv6Address.init),
            publicIP: try address(node, names.publicIPOverwrite, IPv4Address.init),
            publicIPv6: try address(node, names.publicIPv6Overwrite, IPv6Address.init)
        )
    }

    private func address<Address>(
        _ node: NodeObject,
        _ name: String,
        _ parse: (String) -> Address?
    ) throws(NodeFailure) -> Address? {
        guard let text = node.annotations[name], !text.isEmpty else { return nil }
        guard let address = parse(text) else {
            throw NodeFailure("its annotation \(name) is no address of that family")
        }
        return address
    }

    // MARK: - Writing

    /// The annotations that a lease is written as. An overwritten address is the lease's already: see `NodeSettings`.
    private func annotations(of lease: Lease) -> [String: String] {
        var result = [names.managed: "true", names.backendType: lease.backendType]
        result[names.backendData] = lease.backend?.json
        result[names.backendV6Data] = lease.backendV6?.json
        result[names.publicIP] = lease.publicIP.map(String.init(describing:))
        result[names.publicIPv6] = lease.publicIPv6.map(String.init(describing:))
        result[AnnotationNames.record] = lease.record
        return result
    }

    /// What has to be written, one after the other, so that a node's object says what the lease says; nothing where it
    /// does.
    ///
    /// Mostly that is one change. But nodes of flannel with both families take notice only of an update that changes
    /// both (flannel, pkg/subnet/kube/kube.go, `handleUpdateLeaseEvent`). Where one alone has changed, both are first
    /// written with a space in the JSON, which means the same, and then as flannel writes them: flannel's own restart
    /// reads no other form.
    func changes(of node: NodeObject, to lease: Lease) -> [NodeChange] {
        let wanted = annotations(of: lease)
        var difference: [String: String?] = [:]
        for name in names.written where node.annotations[name] != wanted[name] {
            difference.updateValue(wanted[name], forKey: name)
        }
        var last = NodeChange(annotations: difference)
        if node.networkCondition?.status != "False" { last.condition = .isUp }
        guard !last.isEmpty else { return [] }
        guard let first = touchingBoth(node, lease, last) else { return [last] }
        last.annotations.updateValue(lease.backend?.json, forKey: names.backendData)
        last.annotations.updateValue(lease.backendV6?.json, forKey: names.backendV6Data)
        return [first, last]
    }

    private func touchingBoth(_ node: NodeObject, _ lease: Lease, _ change: NodeChange) -> NodeChange? {
        guard let backend = lease.backend, let backendV6 = lease.backendV6, node.annotations[names.managed] == "true",
            change.annotations[names.backendType] == nil
        else { return nil }
        let v4 = [names.backendData, names.publicIP].contains { change.annotations.keys.contains($0) }
        let v6 = [names.backendV6Data, names.publicIPv6].contains { change.annotations.keys.contains($0) }
        guard v4 != v6 else { return nil }
        var first = change
        first.annotations.updateValue(Self.spaced(backend), forKey: names.backendData)
        first.annotations.updateValue(Self.spaced(backendV6), forKey: names.backendV6Data)
        return first
    }

    private static func spaced(_ backend: BackendData) -> String {
        backend.json.replacingOccurrences(of: ",", with: ", ")
    }

    /// What takes everything away that a node has written; nil where there is nothing. What the operator wrote stays.
    func removal(from node: NodeObject) -> NodeChange? {
        var change = NodeChange()
        for name in names.written where node.annotations[name] != nil {
            change.annotations.updateValue(nil, forKey: name)
        }
        if node.networkCondition?.reason == NodeChange.upReason { change.condition = .removed }
        return change.isEmpty ? nil : change
    }
}
