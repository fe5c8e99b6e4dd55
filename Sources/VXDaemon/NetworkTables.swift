import VXConfig
import VXDataPlane
import VXWire

/// What all lanes share of a network, filled with what the configuration says.
struct NetworkTables {
    let forwarding: ForwardingDatabase
    /// Nil without `neighborSuppression`.
    let neighbors: NeighborTable?
    let limiter: FloodLimiter?

    /// - Throws: when configured entries find no place.
    init(_ network: NetworkConfiguration, of configuration: NodeConfiguration) throws {
        let peers = configuration.peers
        let members = peers.enumerated().filter { $1.networks.contains(network.vni) }
        forwarding = ForwardingDatabase(
            limit: network.fdbLimit,
            peerCount: peers.count,
            members: members.count,
            permanent: network.fdb.count + members.reduce(0) { $0 + ($1.element.allow?.macs.count ?? 0) },
            seed: .random(in: .min ... .max)
        )
        neighbors =
            network.neighborSuppression
            ? NeighborTable(peerCount: peers.count, members: members.count, seed: .random(in: .min ... .max)) : nil
        limiter = network.bumRate.map { FloodLimiter(rate: $0, peerCount: peers.count) }
        let places = Dictionary(members.map { ($1.name, PeerIndex(UInt16($0))) }) { first, _ in first }
        for entry in network.fdb {
            guard let peer = places[entry.peer], forwarding.insertPermanent(entry.mac, peer: peer) else {
                throw StartError("too many fdb entries of VNI \(network.vni) fall together; spread the addresses")
            }
            for address in entry.addresses where neighbors?.insertStatic(address, mac: entry.mac, peer: peer) == false {
                throw StartError(
                    "too many addresses of fdb entries of VNI \(network.vni) fall together; leave some out"
                )
            }
        }
        for (place, peer) in members {
            for mac in peer.allow?.macs ?? []
            where !forwarding.insertPermanent(mac, peer: PeerIndex(UInt16(place)), kind: .allowed) {
                throw StartError("too many of allow.macs in VNI \(network.vni) fall together; spread the addresses")
            }
        }
    }
}
