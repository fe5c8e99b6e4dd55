import Synchronization
public import VXWire

/// Which MAC address belongs to an inner address of one network, for answering ARP and neighbour discovery in place of
/// stations behind peers. Shared by all lanes; nobody waits in it.
///
/// It holds what is configured, and what was heard from peers whose `allow.prefixes` let them say it. Two claims to one
/// address silence the entry until it ages: a conflict is left to the stations, and overwrites nothing. IPv4 addresses stand
/// as their mapped form.
///
/// An entry has a sequence word that is odd while somebody writes. A reader that meets a writer finds nothing, a writer that
/// meets another gives up: the frame is flooded, or the next one is noted.
public final class NeighborTable: @unchecked Sendable {
    /// A station that can be answered for.
    struct Neighbor: Equatable {
        let mac: MACAddress
        let peer: PeerIndex
        /// What it said of itself in an advertisement; nil if it sent none.
        let isRouter: Bool?
    }

    /// How many addresses are heard of in one network, at most.
    static let limit = 2048
    private static let places = 4 * limit
    private static let window = 8
    private static let ageing = Interval.seconds(300)
    private static let permanent = UInt64.max
    /// Ages are written this seldom.
    private static let refresh: UInt64 = 1_000_000_000

    // Words of an entry: sequence, both halves of the address, MAC address over peer, age, flags.
    private static let stride = 6
    private static let isContested: UInt64 = 1
    private static let saidWhether: UInt64 = 2
    private static let saidRouter: UInt64 = 4

    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// Answers given, and addresses not taken up for want of a place.
    private let counts = ZeroedWords.allocate(2)
    private let shares: HolderShares
    private let hash: SeededHash

    /// An empty table.
    /// - Parameters:
    ///   - peerCount: the node's peers.
    ///   - members: those that take part in the network.
    ///   - seed: what the hash depends on; anything that peers can't know.
    public init(peerCount: Int, members: Int, seed: UInt64 = 0) {
        words = ZeroedWords.allocate((Self.places + Self.window) * Self.stride)
        shares = HolderShares(limit: Self.limit, peerCount: peerCount, members: members)
        hash = SeededHash(seed)
    }

    deinit {
        ZeroedWords.deallocate(words)
        ZeroedWords.deallocate(counts)
        shares.deallocate()
    }

    private func first(_ address: IPv6Address) -> Int {
        hash(IPAddress.v6(address).placeKey) % Self.places
    }

    /// A consistent copy of an entry.
    private struct Entry {
        var address: IPv6Address
        var station: UInt64
        var age: UInt64
        var flags: UInt64

        var isFree: Bool { station == 0 }
        var peer: PeerIndex { PeerIndex(UInt16(truncatingIfNeeded: station)) }
        var mac: MACAddress { MACAddress(station >> 16) }

        func isAlive(_ now: Instant) -> Bool {
            age == NeighborTable.permanent || now.since(Instant(nanoseconds: age)) < NeighborTable.ageing
        }
    }

    private func load(_ place: Int) -> Entry {
        let base = words + place * Self.stride
        return Entry(
            address: IPv6Address(high: base[1].load(ordering: .relaxed), low: base[2].load(ordering: .relaxed)),
            station: base[3].load(ordering: .relaxed),
            age: base[4].load(ordering: .relaxed),
            flags: base[5].load(ordering: .relaxed)
        )
    }

    /// Nil while somebody writes.
    private func read(_ place: Int) -> Entry? {
        let sequence = words + place * Self.stride
        let before = sequence.pointee.load(ordering: .acquiring)
        guard before & 1 == 0 else { return nil }
        let entry = load(place)
        atomicMemoryFence(ordering: .acquiring)
        return sequence.pointee.load(ordering: .relaxed) == before ? entry : nil
    }

    /// Changes an entry under its sequence word.
    /// - Returns: false when somebody else writes, or `change` leaves it as it is.
    private func update(_ place: Int, _ change: (inout Entry) -> Bool) -> Bool {
        let base = words + place * Self.stride
        let before = base[0].load(ordering: .relaxed)
        guard before & 1 == 0,
            base[0].compareExchange(expected: before, desired: before &+ 1, ordering: .acquiring).exchanged
        else { return false }
        atomicMemoryFence(ordering: .releasing)
        var entry = load(place)
        let isChanged = change(&entry)
        if isChanged {
            base[1].store(entry.address.high, ordering: .relaxed)
            base[2].store(entry.address.low, ordering: .relaxed)
            base[3].store(entry.station, ordering: .relaxed)
            base[4].store(entry.age, ordering: .relaxed)
            base[5].store(entry.flags, ordering: .relaxed)
        }
        base[0].store(before &+ 2, ordering: .releasing)
        return isChanged
    }

    private func place(of address: IPv6Address) -> Int? {
        let start = first(address)
        return (start..<start + Self.window).first {
            guard let entry = read($0) else { return false }
            return !entry.isFree && entry.address == address
        }
    }

    /// Who has an address, if that is known and uncontested.
    func find(_ address: IPv6Address, now: Instant) -> Neighbor? {
        guard let place = place(of: address), let entry = read(place), entry.address == address, !entry.isFree,
            entry.isAlive(now), entry.flags & Self.isContested == 0
        else { return nil }
        return Neighbor(
            mac: entry.mac,
            peer: entry.peer,
            isRouter: entry.flags & Self.saidWhether == 0 ? nil : entry.flags & Self.saidRouter != 0
        )
    }

    /// Enters a configured address, which never ages and is never contested.
    /// - Returns: false when too many addresses fall together.
    public func insertStatic(_ address: IPAddress, mac: MACAddress, peer: PeerIndex) -> Bool {
        let key = address.mapped
        let start = first(key)
        return (start..<start + Self.window).contains { place in
            update(place) { entry in
                guard entry.isFree else { return false }
                entry = Entry(
                    address: key,
                    station: mac.rawValue << 16 | UInt64(peer.rawValue),
                    age: Self.permanent,
                    flags: 0
                )
                return true
            }
        }
    }

    /// Notes what a station behind a peer says of itself; the caller has found that the peer may say it.
    func note(_ address: IPv6Address, mac: MACAddress, isRouter: Bool?, from peer: PeerIndex, now: Instant) {
        guard let place = place(of: address) else { return insert(address, mac, isRouter, peer, now) }
        let station = mac.rawValue << 16 | UInt64(peer.rawValue)
        let said = isRouter.map { Self.saidWhether | ($0 ? Self.saidRouter : 0) }
        guard let entry = read(place), entry.age != Self.permanent else { return }
        if entry.station == station, said == nil || said == entry.flags,
            now.nanoseconds &- entry.age < Self.refresh
        {
            return
        }
        var former: PeerIndex?
        _ = update(place) { entry in
            guard entry.address == address, !entry.isFree, entry.age != Self.permanent else { return false }
            let isContested = entry.isAlive(now) && entry.flags & Self.isContested != 0
            // Who goes on alone has it once the others have been silent for the ageing time.
            if isContested, entry.mac == mac { return false }
            if entry.peer != peer {
                guard shares.take(peer) else { return false }
                former = entry.peer
            }
            if isContested || entry.isAlive(now) && entry.mac != mac {
                entry.flags = Self.isContested
            } else {
                entry.flags = said ?? (entry.flags & (Self.saidWhether | Self.saidRouter))
            }
            entry.station = station
            entry.age = now.nanoseconds
            return true
        }
        if let former { shares.give(former) }
    }

    /// Somebody whose word is not taken, the own device, has the address too: nobody is answered for it.
    func contest(_ address: IPv6Address, mac: MACAddress, now: Instant) {
        guard let place = place(of: address), let entry = read(place), entry.mac != mac else { return }
        _ = update(place) { entry in
            guard entry.address == address, !entry.isFree, entry.age != Self.permanent else { return false }
            entry.flags |= Self.isContested
            entry.age = now.nanoseconds
            return true
        }
    }

    private func insert(
        _ address: IPv6Address,
        _ mac: MACAddress,
        _ isRouter: Bool?,
        _ peer: PeerIndex,
        _ now: Instant
    ) {
        guard shares.take(peer) else {
            counts[1].wrappingAdd(1, ordering: .relaxed)
            return
        }
        let start = first(address)
        for place in start..<start + Self.window {
            var former: PeerIndex?
            let isTaken = update(place) { entry in
                guard entry.isFree || !entry.isAlive(now) else { return false }
                former = entry.isFree ? nil : entry.peer
                entry = Entry(
                    address: address,
                    station: mac.rawValue << 16 | UInt64(peer.rawValue),
                    age: now.nanoseconds,
                    flags: isRouter.map { Self.saidWhether | ($0 ? Self.saidRouter : 0) } ?? 0
                )
                return true
            }
            if let former { shares.give(former) }
            if isTaken { return }
        }
        shares.give(peer)
        counts[1].wrappingAdd(1, ordering: .relaxed)
    }

    /// Removes what has aged.
    public func sweep(now: Instant) {
        guard shares.total > 0 else { return }
        for place in 0..<Self.places + Self.window {
            guard let entry = read(place), !entry.isFree, !entry.isAlive(now) else { continue }
            remove(place) { !$0.isAlive(now) }
        }
    }

    /// Forgets what was heard, all or what one peer said. Configured addresses stay.
    public func flush(peer: PeerIndex? = nil) {
        for place in 0..<Self.places + Self.window {
            guard let entry = read(place), !entry.isFree else { continue }
            remove(place) { $0.age != Self.permanent && (peer == nil || $0.peer == peer) }
        }
    }

    private func remove(_ place: Int, _ isMeant: (Entry) -> Bool) {
        var former: PeerIndex?
        _ = update(place) { entry in
            guard !entry.isFree, isMeant(entry) else { return false }
            former = entry.peer
            entry = Entry(address: IPv6Address(high: 0, low: 0), station: 0, age: 0, flags: 0)
            return true
        }
        if let former { shares.give(former) }
    }

    /// Takes up what `other` has heard and this table does not know, with its age: this one takes the other's place.
    /// - Parameter isWanted: whether what a peer said still counts.
    public func adopt(_ other: NeighborTable, where isWanted: (PeerIndex) -> Bool) {
        guard other.shares.total > 0 else { return }
        for number in 0..<Self.places + Self.window {
            guard let entry = other.read(number), !entry.isFree, entry.age != Self.permanent, isWanted(entry.peer),
                place(of: entry.address) == nil, shares.take(entry.peer)
            else { continue }
            let start = first(entry.address)
            let isTaken = (start..<start + Self.window).contains { place in
                update(place) { free in
                    guard free.isFree else { return false }
                    free = entry
                    return true
                }
            }
            if !isTaken { shares.give(entry.peer) }
        }
    }

    func countAnswer() { counts[0].wrappingAdd(1, ordering: .relaxed) }

    /// How many addresses were heard and are kept, how often a question was answered, and how often an address was not taken
    /// up since its peer's share or the table was full.
    public var usage: (known: Int, answered: UInt64, refused: UInt64) {
        (shares.total, counts[0].load(ordering: .relaxed), counts[1].load(ordering: .relaxed))
    }
}
