import VXWire

/// A lease as JSON: what an agent remembers over restarts, and what a directory of files holds.
public struct StoredLease: Codable, Sendable, Equatable {
    /// `Lease.id`.
    public var id: String?
    /// `Lease.node`.
    public var node: String?
    /// Both subnets.
    public var subnets: [String]
    /// The underlay addresses, at most one a family.
    public var publicIPs: [String]?
    /// flannel's backend.
    public var backendType: String?
    /// flannel's `BackendData`, as text.
    public var backendData: String?
    /// flannel's `BackendV6Data`, as text.
    public var backendV6Data: String?
    /// vxseal's record.
    public var record: String?
    /// No node is behind it.
    public var isReservation: Bool?
    /// `Lease.extraSubnets`.
    public var extraSubnets: [String]?
    /// `Lease.vtep` and `Lease.vtepV6`.
    public var vteps: [String]?
    /// `Lease.isDirect`.
    public var isDirect: Bool?

    /// Of a lease.
    public init(_ lease: Lease) {
        id = lease.id
        node = lease.node
        subnets = lease.subnets.map(\.description)
        publicIPs = [lease.publicIP?.description, lease.publicIPv6?.description].compactMap(\.self)
        backendType = lease.backendType
        backendData = lease.backend?.json
        backendV6Data = lease.backendV6?.json
        record = lease.record
        isReservation = lease.isReservation ? true : nil
        extraSubnets = lease.extraSubnets.isEmpty ? nil : lease.extraSubnets.map(\.description)
        let hops = [lease.vtep?.description, lease.vtepV6?.description].compactMap(\.self)
        vteps = hops.isEmpty ? nil : hops
        isDirect = lease.isDirect ? true : nil
    }

    /// The lease.
    /// - Parameter name: its id and node, where the JSON has none.
    /// - Throws: when a part cannot be read, which is named.
    public func lease(named name: String) throws(LeaseAttributes.Failure) -> Lease {
        var lease = Lease(id: id ?? name, node: node, subnet: nil, publicIP: nil)
        for text in subnets {
            guard let subnet = IPPrefix(text), subnet == subnet.network else {
                throw LeaseAttributes.Failure(description: "subnets: `\(text.prefix(64))` is no network")
            }
            if subnet.address.isIPv6, lease.subnetV6 == nil {
                lease.subnetV6 = subnet
            } else if !subnet.address.isIPv6, lease.subnet == nil {
                lease.subnet = subnet
            } else {
                throw LeaseAttributes.Failure(description: "subnets: two of one family")
            }
        }
        for text in publicIPs ?? [] {
            switch IPAddress(text) {
            case .v4(let address): lease.publicIP = address
            case .v6(let address): lease.publicIPv6 = address
            case nil: throw LeaseAttributes.Failure(description: "publicIPs: `\(text.prefix(64))` is no address")
            }
        }
        lease.backendType = backendType ?? "vxlan"
        if let backendData { lease.backend = try BackendData(parsing: backendData) }
        if let backendV6Data { lease.backendV6 = try BackendData(parsing: backendV6Data) }
        lease.record = record
        lease.isReservation = isReservation ?? false
        lease.extraSubnets = (extraSubnets ?? []).compactMap { IPPrefix($0) }
        for case .v4(let address)? in (vteps ?? []).map({ IPAddress($0) }) { lease.vtep = address }
        for case .v6(let address)? in (vteps ?? []).map({ IPAddress($0) }) { lease.vtepV6 = address }
        lease.isDirect = isDirect ?? false
        return lease
    }
}
