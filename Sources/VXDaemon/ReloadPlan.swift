import VXConfig
import VXDataPlane
import VXHandshake
import VXRuntime
import VXWire

/// What a reload has to do: the roster after it, and the steps from here to there. Making it touches nothing that runs.
struct ReloadPlan {
    /// After the reload.
    private(set) var roster: Roster
    /// What the threads are told.
    private(set) var change: RuntimeChange
    /// Places whose networks go; a network that is made again leaves its place for another.
    private(set) var released: [Int] = []
    /// Networks whose devices are to be made.
    private(set) var appearing: [(place: Int, network: NetworkConfiguration)] = []
    /// Networks whose devices go on otherwise.
    private(set) var adjusted: [DeviceOrder.Taken] = []
    /// Tables that take the place of others.
    private(set) var successions: [(new: NetworkTables, former: NetworkTables)] = []
    /// Indices that become free.
    private(set) var leaving: Set<PeerIndex> = []
    /// Indices that are new, or another peer's.
    private(set) var arriving: [PeerIndex] = []
    /// Indices whose peers go on otherwise.
    private(set) var changed: [PeerIndex] = []
    /// Of these, the ones whose `allow` differs.
    private(set) var rebound: [PeerIndex] = []

    /// - Parameters:
    ///   - old: what runs.
    ///   - configuration: what is to run.
    ///   - difference: between the two; nothing in it needs a restart.
    ///   - mtu: what a network's device is to carry.
    /// - Throws: when the new configuration finds no place.
    init(
        from old: Roster,
        to configuration: NodeConfiguration,
        _ difference: ConfigurationChange,
        mtu: (NetworkConfiguration) -> Int
    ) throws {
        roster = old
        roster.configuration = configuration
        change = RuntimeChange(lanes: old.counters.count, peerCapacity: 0, largestFrame: 0)
        try planPeers(difference, old: old)
        try planNetworks(difference, old: old, mtu: mtu)
        change = runtimeChange(old: old)
        if change.closesPlaintext { roster.hasPlaintextPorts = false }
    }

    private mutating func planPeers(_ difference: ConfigurationChange, old: Roster) throws {
        let indices = Dictionary(
            old.peers.enumerated().compactMap { place, peer in
                peer.map { ($0.configuration.name, PeerIndex(UInt16(place))) }
            }
        ) { first, _ in first }
        var additions: [PeerConfiguration] = []
        for peer in difference.peers {
            switch peer {
            case .added(let peer): additions.append(peer)
            case .removed(let peer): if let index = indices[peer.name] { leaving.insert(index) }
            case .replaced(let former, let peer, _):
                if let index = indices[former.name] { leaving.insert(index) }
                additions.append(peer)
            case .changed(let before, let after, _):
                guard let index = indices[before.name] else { continue }
                roster.peers[Int(index.rawValue)]?.configuration = after
                changed.append(index)
                guard before.allow != after.allow else { continue }
                roster.peers[Int(index.rawValue)]?.binding = Roster.binding(of: after)
                rebound.append(index)
            }
        }
        for index in leaving { roster.peers[Int(index.rawValue)] = nil }
        let free = roster.peers.count { $0 == nil } - leaving.count
        guard roster.peers.count + additions.count - free <= Roster.mostPeers else {
            throw StartError(
                "more peers come in one reload than there is room for beside those that go; do it in two, or restart the daemon"
            )
        }
        for peer in additions { arriving.append(roster.add(peer, avoiding: leaving)) }
        roster.reserve(roster.peers.count)
    }

    private mutating func planNetworks(
        _ difference: ConfigurationChange,
        old: Roster,
        mtu: (NetworkConfiguration) -> Int
    ) throws {
        let places = Dictionary(
            old.networks.enumerated().compactMap { place, network in
                network.map { ($0.configuration.vni, place) }
            }
        ) { first, _ in first }
        let members = roster.members
        var made: [Int: Roster.Network] = [:]
        for network in difference.networks {
            switch network {
            case .added(let network):
                appearing.append((0, network))
            case .removed(let network):
                if let place = places[network.vni] { released.append(place) }
            case .remade(let network, _):
                if let place = places[network.vni] { released.append(place) }
                appearing.append((0, network))
            case .changed(let network, let fields):
                guard let place = places[network.vni], let former = old.networks[place] else { continue }
                // An automatic MTU is fixed when the device is made.
                let size = fields.contains("mtu") || fields.contains("vlanHeadroom") ? mtu(network) : former.mtu
                made[place] = try roster.make(network, mtu: size, members: members, replacing: former)
                adjusted.append(.init(place: place, network: network, mtu: size == former.mtu ? nil : size))
            }
        }
        for place in released { roster.networks[place] = nil }
        // Peers came, went or changed: tables of networks that are as they were may still be others now.
        for (place, former) in roster.networks.enumerated() where made[place] == nil {
            guard let former else { continue }
            made[place] = try roster.make(
                former.configuration,
                mtu: former.mtu,
                members: members,
                replacing: former
            )
        }
        for (place, network) in made {
            if let former = old.networks[place], former.tables !== network.tables {
                successions.append((network.tables, former.tables))
            }
            roster.networks[place] = network
        }
        for number in appearing.indices {
            let network = appearing[number].network
            let place = freePlace()
            appearing[number].place = place
            roster.networks[place] = try roster.make(network, mtu: mtu(network), members: members)
        }
    }

    /// A place that no lane knows a network of.
    private mutating func freePlace() -> Int {
        let taken = Set(released)
        if let free = roster.networks.indices.first(where: { roster.networks[$0] == nil && !taken.contains($0) }) {
            return free
        }
        roster.networks.append(nil)
        return roster.networks.count - 1
    }

    private func runtimeChange(old: Roster) -> RuntimeChange {
        var change = RuntimeChange(
            lanes: roster.counters.count,
            peerCapacity: roster.peerCapacity,
            largestFrame: roster.largestFrame
        )
        var definitions: [(place: Int, definition: NetworkDefinition?)] = []
        for (place, network) in roster.networks.enumerated() {
            let former = place < old.networks.count ? old.networks[place] : nil
            let isAsBefore = roster.peerCapacity == old.peerCapacity && Self.areAlike(network, former)
            if !isAsBefore { definitions.append((place, network.map(roster.definition(of:)))) }
        }
        for lane in change.lanes.indices {
            change.lanes[lane].networks = definitions
            for index in changed {
                guard let peer = roster[index] else { continue }
                let definition = roster.definition(of: peer, index: index, lane: lane)
                change.lanes[lane].peers.append((index, .change(definition)))
            }
            for index in arriving {
                guard let peer = roster[index] else { continue }
                let definition = roster.definition(of: peer, index: index, lane: lane)
                change.lanes[lane].peers.append((index, .add(definition)))
            }
            change.departures[lane].peers = leaving.map { ($0, .remove(roster.counters[lane][Int($0.rawValue)])) }
        }
        change.handshake.removed = leaving.filter { old[$0]?.configuration.sealed != nil }
        change.handshake.changed = changed.compactMap(roster.handshakePeer)
        change.handshake.added = arriving.compactMap(roster.handshakePeer)
        change.closesPlaintext = roster.hasPlaintextPorts && !roster.configuration.hasPlaintext
        return change
    }

    private static func areAlike(_ left: Roster.Network?, _ right: Roster.Network?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        return left.tables === right.tables && left.limiter === right.limiter && left.mtu == right.mtu
            && left.configuration == right.configuration
    }
}
