import Synchronization
import VXConfig
import VXDataPlane
import VXHandshake
import VXRuntime
import VXWire

/// The networks and peers that the node runs with, by the places and indices that its threads know them by. A place or an
/// index that is free is nil.
struct Roster: Sendable {
    /// One network.
    struct Network: Sendable {
        var configuration: NetworkConfiguration
        var tables: NetworkTables
        /// Nil for any rate.
        var limiter: FloodLimiter?
        /// Nil but with `flood: known-multicast`.
        var groups: GroupTable?
        /// Nil without `relay`.
        var relay: RelayGuard?
        /// What was dropped of it, since it was first configured.
        var drops: NetworkDrops
        /// The device's.
        var mtu: Int

        /// Ethernet header and two tags beside what the MTU counts.
        var maximumFrame: Int { mtu + 14 + 8 }
    }

    /// One peer.
    struct Peer: Sendable {
        var configuration: PeerConfiguration
        /// Nil without `allow`.
        var binding: PeerBinding?
    }

    var configuration: NodeConfiguration
    var networks: [Network?] = []
    var peers: [Peer?] = []
    /// How many peers the tables have room for.
    private(set) var peerCapacity: Int
    /// By lane, then by index. They live as long as the process, so that anybody may read them.
    private(set) var counters: [[PeerCounters]]
    /// Sockets for standard VXLAN are open.
    var hasPlaintextPorts: Bool

    /// More have no index.
    static let mostPeers = 65_500
    private static let leastCapacity = 64

    /// Without networks and peers yet.
    init(configuration: NodeConfiguration, lanes: Int) {
        self.configuration = configuration
        counters = Array(repeating: [], count: lanes)
        hasPlaintextPorts = configuration.hasPlaintext
        peerCapacity = 0
        reserve(configuration.peers.count)
    }

    /// What the node starts with.
    /// - Parameter mtus: of the networks, in the configuration's order.
    /// - Throws: when configured entries find no place.
    init(starting configuration: NodeConfiguration, lanes: Int, mtus: [Int]) throws {
        self.init(configuration: configuration, lanes: lanes)
        for peer in configuration.peers { _ = add(peer) }
        let members = members
        for (network, mtu) in zip(configuration.networks, mtus) {
            networks.append(try make(network, mtu: mtu, members: members))
        }
    }

    // MARK: - Places

    /// Makes room for so many peers. Tables that were made for fewer must be made anew.
    mutating func reserve(_ count: Int) {
        guard count > peerCapacity else { return }
        peerCapacity = Self.leastCapacity
        while peerCapacity < count { peerCapacity *= 2 }
        peerCapacity = min(peerCapacity, Self.mostPeers)
    }

    /// Gives a peer an index that was free before; none that another leaves in the same change.
    mutating func add(_ peer: PeerConfiguration, avoiding taken: Set<PeerIndex> = []) -> PeerIndex {
        let entry = Peer(configuration: peer, binding: Self.binding(of: peer))
        let free = peers.indices.first { peers[$0] == nil && !taken.contains(PeerIndex(UInt16($0))) }
        guard let free else {
            peers.append(entry)
            for lane in counters.indices { counters[lane].append(PeerCounters()) }
            return PeerIndex(UInt16(peers.count - 1))
        }
        peers[free] = entry
        for lane in counters.indices { counters[lane][free].reset() }
        return PeerIndex(UInt16(free))
    }

    /// What the lanes are told of `allow`.
    static func binding(of peer: PeerConfiguration) -> PeerBinding? {
        peer.allow.map { PeerBinding(PeerAllowance(macs: $0.macs, prefixes: $0.prefixes, router: $0.router)) }
    }

    /// Who takes part in each network.
    var members: [VNI: [PeerIndex]] {
        var members: [VNI: [PeerIndex]] = [:]
        for (place, peer) in peers.enumerated() {
            for vni in Set(peer?.configuration.networks ?? []) {
                members[vni, default: []].append(PeerIndex(UInt16(place)))
            }
        }
        return members
    }

    /// A network's entry; tables and limiter of the one before are kept where they fit.
    /// - Throws: when configured entries find no place.
    func make(
        _ network: NetworkConfiguration,
        mtu: Int,
        members: [VNI: [PeerIndex]],
        replacing former: Network? = nil
    ) throws -> Network {
        let contents = contents(of: network, members: members[network.vni] ?? [])
        let tables = former?.tables.contents == contents ? former?.tables : nil
        var limiter = former?.limiter
        let isLimitedAlike =
            former?.configuration.bumRate == network.bumRate
            && former?.tables.contents.peerCapacity == peerCapacity
        if !isLimitedAlike { limiter = network.bumRate.map { FloodLimiter(rate: $0, peerCount: peerCapacity) } }
        return Network(
            configuration: network,
            tables: try tables ?? NetworkTables(contents),
            limiter: limiter,
            groups: groups(of: network, members: contents.members.count, replacing: former),
            relay: network.relay ? former?.relay ?? RelayGuard() : nil,
            drops: former?.drops ?? NetworkDrops(),
            mtu: mtu
        )
    }

    private func groups(of network: NetworkConfiguration, members: Int, replacing former: Network?) -> GroupTable? {
        guard network.flood == .knownMulticast else { return nil }
        if let former, former.tables.contents.peerCapacity == peerCapacity, let groups = former.groups { return groups }
        return GroupTable(peerCount: peerCapacity, members: members, seed: .random(in: .min ... .max))
    }

    private func contents(of network: NetworkConfiguration, members: [PeerIndex]) -> NetworkTables.Contents {
        var allowed: [PeerIndex: [MACAddress]] = [:]
        var names: [String: PeerIndex] = [:]
        for index in members {
            guard let peer = self[index]?.configuration else { continue }
            names[peer.name] = index
            if let macs = peer.allow?.macs, !macs.isEmpty { allowed[index] = macs }
        }
        return NetworkTables.Contents(
            vni: network.vni,
            limit: network.fdbLimit,
            suppression: network.neighborSuppression,
            members: Set(members),
            allowed: allowed,
            stations: network.fdb.compactMap { entry in
                names[entry.peer].map { .init(mac: entry.mac, peer: $0, addresses: entry.addresses) }
            },
            peerCapacity: peerCapacity
        )
    }

    // MARK: - Looking up

    /// The peer of an index; nil for one that is free.
    subscript(index: PeerIndex) -> Peer? {
        let place = Int(index.rawValue)
        return place < peers.count ? peers[place] : nil
    }

    /// The peers in the configuration's order.
    var orderedPeers: [(index: PeerIndex, configuration: PeerConfiguration)] {
        let places = Dictionary(
            peers.enumerated().compactMap { place, peer in
                peer.map { ($0.configuration.name, place) }
            }
        ) { first, _ in first }
        return configuration.peers.compactMap { peer in
            places[peer.name].map { (PeerIndex(UInt16($0)), peer) }
        }
    }

    /// The networks in the configuration's order.
    var orderedNetworks: [(place: Int, network: Network)] {
        let places = Dictionary(
            networks.enumerated().compactMap { place, network in
                network.map { ($0.configuration.vni, (place, $0)) }
            }
        ) { first, _ in first }
        return configuration.networks.compactMap { places[$0.vni] }
    }

    /// The network of a VNI.
    func network(of vni: VNI) -> Network? {
        networks.lazy.compactMap(\.self).first { $0.configuration.vni == vni }
    }

    /// The index of a peer's name.
    func index(of name: String) -> PeerIndex? {
        peers.firstIndex { $0?.configuration.name == name }.map { PeerIndex(UInt16($0)) }
    }

    /// The name of an index, for the log.
    func name(of index: PeerIndex) -> String { self[index]?.configuration.name ?? "a peer that is gone" }

    /// Frames sent to a peer, by all lanes.
    func sentFrames(to peer: PeerIndex) -> UInt64 {
        counters.reduce(0) { $0 + $1[Int(peer.rawValue)].sentFrames }
    }

    // MARK: - What the threads are told

    /// The largest frame of any device.
    var largestFrame: Int { networks.compactMap(\.?.maximumFrame).max() ?? 1514 }

    /// A network as the lanes are told of it.
    func definition(of network: Network) -> NetworkDefinition {
        let configuration = network.configuration
        return NetworkDefinition(
            vni: configuration.vni,
            mode: configuration.mode.dataPlane,
            learning: configuration.learning,
            forwardLinkLocal: configuration.forwardLinkLocal,
            copyDSCP: configuration.copyDscp,
            vlans: configuration.vlans,
            maximumFrame: network.maximumFrame,
            members: network.tables.contents.members.sorted { $0.rawValue < $1.rawValue },
            forwarding: network.tables.forwarding,
            owner: network.tables,
            flood: configuration.flood == .none ? .none : .all,
            limiter: network.limiter,
            neighbors: network.tables.neighbors,
            relay: network.relay,
            groups: network.groups,
            drops: network.drops,
            hasDevice: configuration.hasDevice
        )
    }

    /// A peer as a lane is told of it.
    func definition(of peer: Peer, index: PeerIndex, lane: Int) -> PeerDefinition {
        PeerDefinition(
            isPlaintext: peer.configuration.sealed == nil,
            endpoint: peer.configuration.endpoint,
            roaming: peer.configuration.roaming,
            counters: counters[lane][Int(index.rawValue)],
            binding: peer.binding
        )
    }

    /// A peer as the handshake is told of it; nil for a plaintext one.
    func handshakePeer(_ index: PeerIndex) -> HandshakePeer? {
        guard let peer = self[index]?.configuration, let sealed = peer.sealed else { return nil }
        return HandshakePeer(
            index: index,
            publicKey: sealed.publicKey,
            presharedKey: sealed.presharedKey,
            endpoint: peer.endpoint,
            fixedPorts: configuration.sourcePorts == .fixed || peer.endpoint == nil && peer.endpointName == nil,
            roaming: peer.roaming,
            acceptSuccessors: peer.acceptSuccessors,
            keepalive: peer.keepalive
        )
    }
}

extension NetworkConfiguration.Mode {
    var dataPlane: NetworkMode {
        switch self {
        case .sealed: .sealed
        case .plaintext: .plaintext
        case .mixed: .mixed
        }
    }
}

/// The roster of this moment, for all services; a reload replaces it.
final class RosterBoard: Sendable {
    private let roster: Mutex<Roster>

    init(_ roster: Roster) { self.roster = Mutex(roster) }

    var current: Roster { roster.withLock { $0 } }

    func publish(_ new: Roster) { roster.withLock { $0 = new } }
}
