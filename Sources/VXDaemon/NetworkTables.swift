import VXConfig
import VXDataPlane
import VXWire

/// What all lanes share of a network, filled with what the configuration says. Its memory goes with the last lane that has it.
final class NetworkTables: Sendable {
    /// What the tables are made for: with anything else in it they are made anew.
    struct Contents: Equatable, Sendable {
        var vni: VNI
        var limit: Int
        var suppression: Bool
        var members: Set<PeerIndex>
        /// By member, where there are any.
        var allowed: [PeerIndex: [MACAddress]]
        var stations: [Station]
        /// Every peer's index is below this.
        var peerCapacity: Int

        /// A configured one.
        struct Station: Equatable, Sendable {
            var mac: MACAddress
            var peer: PeerIndex
            var addresses: [IPAddress]
        }
    }

    let contents: Contents
    let forwarding: ForwardingDatabase
    /// Nil without `neighborSuppression`.
    let neighbors: NeighborTable?

    /// - Throws: when configured entries find no place.
    init(_ contents: Contents) throws {
        self.contents = contents
        forwarding = ForwardingDatabase(
            limit: contents.limit,
            peerCount: contents.peerCapacity,
            members: contents.members.count,
            permanent: contents.stations.count + contents.allowed.values.reduce(0) { $0 + $1.count },
            seed: .random(in: .min ... .max)
        )
        neighbors =
            contents.suppression
            ? NeighborTable(
                peerCount: contents.peerCapacity,
                members: contents.members.count,
                seed: .random(in: .min ... .max)
            ) : nil
        for station in contents.stations {
            guard forwarding.insertPermanent(station.mac, peer: station.peer) else {
                throw StartError("too many fdb entries of VNI \(contents.vni) fall together; spread the addresses")
            }
            for address in station.addresses
            where neighbors?.insertStatic(address, mac: station.mac, peer: station.peer) == false {
                throw StartError(
                    "too many addresses of fdb entries of VNI \(contents.vni) fall together; leave some out"
                )
            }
        }
        for (peer, macs) in contents.allowed {
            for mac in macs where !forwarding.insertPermanent(mac, peer: peer, kind: .allowed) {
                throw StartError("too many of allow.macs in VNI \(contents.vni) fall together; spread the addresses")
            }
        }
    }

    deinit { forwarding.deallocate() }

    /// Takes over what the tables before have learned and what may still be known.
    func adopt(_ former: NetworkTables) {
        let (members, allowed) = (contents.members, contents.allowed)
        // Who has `allow.macs` has no other stations.
        forwarding.adopt(former.forwarding) { members.contains($0) && allowed[$0] == nil }
        if let neighbors, let before = former.neighbors { neighbors.adopt(before) { members.contains($0) } }
    }
}
