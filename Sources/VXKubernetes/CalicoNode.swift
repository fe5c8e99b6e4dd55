import Crypto
import VXWire

/// A node of Calico's VXLAN, by the annotations that Calico keeps on the node's object where Kubernetes is its
/// datastore (libcalico-go/lib/backend/k8s/resources/node.go).
struct CalicoNode: Sendable, Equatable {
    static let prefix = "projectcalico.org/"
    private static let tunnel = prefix + "IPv4VXLANTunnelAddr"
    private static let tunnelV6 = prefix + "IPv6VXLANTunnelAddr"
    private static let macName = prefix + "VXLANTunnelMACAddr"
    private static let macV6Name = prefix + "VXLANTunnelMACAddrV6"
    private static let underlay = prefix + "IPv4Address"
    private static let underlayV6 = prefix + "IPv6Address"

    /// What is read of a node.
    static let annotations: Set<String> = [tunnel, tunnelV6, macName, macV6Name, underlay, underlayV6]

    /// One family's.
    struct Family: Sendable, Equatable {
        /// The device's own address, taken from a pool.
        var vtep: IPAddress
        /// The device's MAC address.
        var mac: MACAddress
        /// The underlay address, with the length of its subnet.
        var underlay: IPPrefix
    }

    let name: String
    /// Nil where the node has no device for the family.
    let v4: Family?
    let v6: Family?

    /// - Throws: `NodeFailure` for what cannot be read, naming the annotation.
    init(_ node: NodeObject) throws(NodeFailure) {
        name = node.name
        v4 = try Self.family(node, isIPv6: false)
        v6 = try Self.family(node, isIPv6: true)
    }

    /// A node without an address of its own has no device, whatever else it has (felix/calc/vxlan_resolver.go).
    private static func family(_ node: NodeObject, isIPv6: Bool) throws(NodeFailure) -> Family? {
        let tunnelName = isIPv6 ? tunnelV6 : tunnel
        let underlayName = isIPv6 ? underlayV6 : underlay
        let macAnnotation = isIPv6 ? macV6Name : macName
        guard let vtepText = text(node, tunnelName), let underlayText = text(node, underlayName) else { return nil }
        guard let vtep = IPAddress(vtepText), vtep.isIPv6 == isIPv6 else {
            throw NodeFailure("its annotation \(tunnelName) is no address of that family")
        }
        guard let underlay = prefix(underlayText), underlay.address.isIPv6 == isIPv6 else {
            throw NodeFailure("its annotation \(underlayName) is no address of that family")
        }
        var mac = derivedMAC(node: node.name, isIPv6: isIPv6)
        if let text = text(node, macAnnotation) {
            guard let written = MACAddress(text), !written.isMulticast, !written.isZero else {
                throw NodeFailure("its annotation \(macAnnotation) is no address of a station")
            }
            mac = written
        }
        return Family(vtep: vtep, mac: mac, underlay: underlay)
    }

    private static func text(_ node: NodeObject, _ name: String) -> String? {
        node.annotations[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// With its length, or without: then it is alone in its subnet.
    private static func prefix(_ text: String) -> IPPrefix? {
        if let prefix = IPPrefix(text) { return prefix }
        guard let address = IPAddress(text) else { return nil }
        return IPPrefix(address: address, length: address.isIPv6 ? 128 : 32)
    }

    /// The MAC address of a device for which none is written: 66, and the first five bytes of SHA-1 of the node's name,
    /// for IPv6 with `-v6` behind it (felix/calc/vxlan_resolver.go).
    static func derivedMAC(node: String, isIPv6: Bool) -> MACAddress {
        let digest = Insecure.SHA1.hash(data: Array((isIPv6 ? node + "-v6" : node).utf8))
        return MACAddress(digest.prefix(5).reduce(0x66) { $0 << 8 | UInt64($1) })
    }
}
