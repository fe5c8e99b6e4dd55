import VXControl
import VXWire

/// A block of addresses that Calico gives to a node (libcalico-go/lib/backend/model/block.go), as much of it as routes
/// need.
struct CalicoBlock: APIObject {
    static let resource = APIResource(group: "crd.projectcalico.org", version: "v1", plural: "ipamblocks")
    /// Addresses in the largest block that Calico makes: /20, or /116.
    private static let most = 4096

    /// What is to be routed to a node.
    struct Share: Sendable, Hashable {
        var node: String
        var prefix: IPPrefix
    }

    var name: String
    var resourceVersion: String
    /// The block for the node that it belongs to, and each address that another uses.
    var shares: [Share]

    init(name: String, resourceVersion: String = "", shares: [Share]) {
        self.name = name
        self.resourceVersion = resourceVersion
        self.shares = shares
    }

    private enum CodingKeys: CodingKey { case metadata, spec }
    private struct Metadata: Decodable {
        let name: String
        let resourceVersion: String?
    }
    private struct Attributes: Decodable { let secondary: [String: String]? }
    private struct Spec: Decodable {
        let cidr: String?
        let affinity: String?
        let allocations: [Int?]?
        let attributes: [Attributes]?
        let deleted: Bool?
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let metadata = try container.decode(Metadata.self, forKey: .metadata)
        name = metadata.name
        resourceVersion = metadata.resourceVersion ?? ""
        // A block that cannot be read has no routes; the others keep theirs.
        shares = (try? container.decode(Spec.self, forKey: .spec)).map(Self.shares) ?? []
    }

    private static func shares(_ spec: Spec) -> [Share] {
        guard spec.deleted != true, let block = spec.cidr.flatMap({ IPPrefix($0) })?.network else { return [] }
        var shares: [Share] = []
        let owner = spec.affinity.flatMap { $0.hasPrefix("host:") ? String($0.dropFirst("host:".count)) : nil }
        if let owner, SealRecord.isName(owner) { shares.append(Share(node: owner, prefix: block)) }
        let bits = block.address.isIPv6 ? 128 : 32
        for (number, place) in (spec.allocations ?? []).prefix(most).enumerated() {
            guard let place, let attributes = spec.attributes, attributes.indices.contains(place),
                let node = attributes[place].secondary?["node"], node != owner, SealRecord.isName(node),
                let address = block.share(UInt64(number), length: bits),
                let prefix = IPPrefix(address: address, length: bits)
            else { continue }
            shares.append(Share(node: node, prefix: prefix))
        }
        return shares
    }
}
