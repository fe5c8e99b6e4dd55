import VXCrypto
import VXWire

/// Something that is one peer's alone.
enum Claim: Hashable {
    case name(String)
    case address(IPAddress)
    case mac(MACAddress)
    case key(PublicKey)
    case subnet(IPPrefix)
    /// A part of somebody's subnet that is another's.
    case lent(IPPrefix)

    static func all(of peer: OverlayPeer) -> Set<Claim> {
        var claims: Set<Claim> = [.name(peer.name)]
        claims.formUnion(peer.addresses.map(Claim.address))
        claims.formUnion([peer.mac, peer.macV6].compactMap { $0.map(Claim.mac) })
        claims.formUnion(peer.subnets.map(Claim.subnet))
        claims.formUnion(peer.extraSubnets.map(Claim.lent))
        if let sealed = peer.sealed { claims.insert(.key(sealed.publicKey)) }
        return claims
    }

    var text: String {
        switch self {
        case .name(let name): "the name \(name)"
        case .address(let address): "the address \(address)"
        case .mac(let mac): "the MAC address \(mac)"
        case .key(let key): "the key \(key)"
        case .subnet(let subnet), .lent(let subnet): "the subnet \(subnet)"
        }
    }
}

/// Who has what. Subnets of different owners do not overlap either.
struct ClaimTable {
    private var owners: [Claim: (id: String, name: String)] = [:]
    private var claims: [String: Set<Claim>] = [:]
    /// Subnets by their first address; none overlaps another.
    private var subnetsV4: [IPPrefix] = []
    private var subnetsV6: [IPPrefix] = []

    /// Claims all, in place of what the owner had, or changes nothing.
    mutating func claim(_ wanted: Set<Claim>, for id: String, name: String) throws(PeerRefusal) {
        let before = claims[id] ?? []
        guard before != wanted else { return }
        for claim in wanted.subtracting(before) {
            if let owner = owners[claim], owner.id != id { throw .taken(claim.text, by: owner.name) }
            guard case .subnet(let subnet) = claim else { continue }
            for other in neighbours(of: subnet) where other.overlaps(subnet) && !before.contains(.subnet(other)) {
                throw .taken(claim.text, by: owners[.subnet(other)]?.name ?? "another")
            }
        }
        release(id)
        for claim in wanted {
            owners[claim] = (id, name)
            if case .subnet(let subnet) = claim { insert(subnet) }
        }
        claims[id] = wanted
    }

    mutating func release(_ id: String) {
        for claim in claims.removeValue(forKey: id) ?? [] {
            owners[claim] = nil
            guard case .subnet(let subnet) = claim else { continue }
            if subnet.address.isIPv6 {
                subnetsV6.remove(at: place(of: subnet, in: subnetsV6))
            } else {
                subnetsV4.remove(at: place(of: subnet, in: subnetsV4))
            }
        }
    }

    private mutating func insert(_ subnet: IPPrefix) {
        if subnet.address.isIPv6 {
            subnetsV6.insert(subnet, at: place(of: subnet, in: subnetsV6))
        } else {
            subnetsV4.insert(subnet, at: place(of: subnet, in: subnetsV4))
        }
    }

    /// The first place whose subnet does not begin before it.
    private func place(of subnet: IPPrefix, in list: [IPPrefix]) -> Int {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if subnet.address.isAtMost(list[middle].address) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The subnets before and from where it begins up to where it ends: all that can overlap it, since they do not overlap
    /// each other.
    private func neighbours(of subnet: IPPrefix) -> ArraySlice<IPPrefix> {
        let list = subnet.address.isIPv6 ? subnetsV6 : subnetsV4
        let first = place(of: subnet, in: list)
        var end = first
        while end < list.count, subnet.contains(list[end].address) { end += 1 }
        return list[max(0, first - 1)..<end]
    }
}
