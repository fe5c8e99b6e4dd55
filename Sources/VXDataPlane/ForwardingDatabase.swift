import Synchronization
public import VXWire

/// The MAC table of one network: which peer a station is behind. Shared by all lanes without a lock.
///
/// An entry is one atomic word, 48 bits of MAC address over 16 bits of peer index, with a word for its age and one for its
/// moves beside it. A station may stand in any of `window` neighbouring places from its hash on, and a look-up reads all of
/// them, so that removing an entry is one store and needs no tombstone. A reader that races with a writer sees the old entry
/// or the new one, never a mixture.
///
/// What is learned is bounded by `limit`, and what one peer fills of it by `HolderShares`; permanent entries have places of
/// their own. The hash depends on a secret, or a peer could choose addresses that fall together with another's.
public struct ForwardingDatabase: @unchecked Sendable {
    /// The peer index that stands for this node's own device.
    public static let localDevice = PeerIndex(0xffff)
    /// What a network learns unless it is configured.
    public static let defaultLimit = 16_384
    private static let window = 16
    /// Ages from here on stand for kinds of entries that never age.
    private static let permanent = UInt64.max - 15
    /// A station seen on the own device within one second is not learned behind a peer (product.md, forwarding database), nor
    /// one of a mixed network's sealed side on its plaintext side, or the other way round. Its age may be too old by `refresh`.
    private static let localHold = Interval.milliseconds(1500)
    /// Ages are written this seldom: for every frame, the memory would bounce between lanes.
    private static let refresh: UInt64 = 500_000_000
    /// Places that a refused station looks at for aged entries: little, for whoever floods the table pays it each time.
    private static let reclaimedPlaces = 32

    private let entries: UnsafeMutablePointer<Atomic<UInt64>>
    private let ages: UnsafeMutablePointer<Atomic<UInt64>>
    private let moves: UnsafeMutablePointer<Atomic<UInt64>>
    private let shares: HolderShares
    /// Stations not learned, entries frozen, where `reclaim` goes on.
    private let counts = ZeroedWords.allocate(3)
    private let mask: Int
    private let hash: SeededHash
    private let ageing: Interval

    /// Where an entry comes from; a greater one is never overwritten by a lesser one.
    public enum Kind: UInt64, Sendable, CaseIterable {
        /// Heard from a peer.
        case learned
        /// Heard on the own device.
        case local
        /// Told by a directory.
        case control
        /// In a peer's `allow.macs`.
        case allowed
        /// Configured.
        case `static`

        /// The age that marks an entry as one of this kind.
        fileprivate var age: UInt64 { ForwardingDatabase.permanent + rawValue }
    }

    /// What a peer that uses a station's address may do.
    public enum Claim: Sendable {
        /// The address is its own, or nobody's.
        case granted
        /// It may use its own addresses alone, and this is none of them.
        case unowned
        /// The address is another's.
        case foreign
    }

    /// One row of the table, for people.
    public struct Row: Sendable {
        /// The station.
        public let address: MACAddress
        /// The peer it is behind; `localDevice` for this node's own.
        public let peer: PeerIndex
        /// Where it comes from.
        public let kind: Kind
        /// When it was last heard; nil for a kind that never ages.
        public let lastSeen: Instant?
    }

    /// What `learn` did.
    public enum Learning: Sendable {
        /// The entry was there, or is now.
        case known
        /// A station of this node's own device speaks from a peer.
        case localStation
        /// A permanent entry gives the station to somebody else.
        case foreign
        /// It moves too often: it stays where it is for a while.
        case frozen
        /// There is no place for it, or none for this peer: it is not in the table.
        case refused
    }

    /// An empty table.
    /// - Parameters:
    ///   - limit: how many stations may be learned.
    ///   - peerCount: the node's peers, 65,000 at most.
    ///   - members: those that take part in the network; nil for all.
    ///   - permanent: how many entries never age.
    ///   - ageing: how long a learned entry lives after it was last heard (default of product.md: 300 s).
    ///   - seed: what the hash depends on; anything that peers can't know.
    public init(
        limit: Int = ForwardingDatabase.defaultLimit,
        peerCount: Int = 16,
        members: Int? = nil,
        permanent: Int = 0,
        ageing: Interval = .seconds(300),
        seed: UInt64 = 0
    ) {
        var count = 64
        // A quarter full at most: then a station finds its whole window taken once in a hundred thousand times.
        while count < 4 * (limit + permanent) { count *= 2 }
        mask = count - 1
        hash = SeededHash(seed)
        self.ageing = ageing
        shares = HolderShares(limit: limit, peerCount: peerCount, members: members ?? peerCount)
        // The window of the last place runs past the end, which saves the wrap on every look-up.
        entries = ZeroedWords.allocate(count + Self.window)
        ages = ZeroedWords.allocate(count + Self.window)
        moves = ZeroedWords.allocate(count + Self.window)
    }

    /// Gives the memory back. Whoever made the table calls it once, when no lane has it any more (`NetworkDefinition.owner`).
    public func deallocate() {
        for words in [entries, ages, moves, counts] { ZeroedWords.deallocate(words) }
        shares.deallocate()
    }

    @inline(__always)
    private func place(_ address: MACAddress) -> Int { hash(address.rawValue) & mask }

    @inline(__always)
    private func find(_ address: MACAddress) -> Int? {
        let start = place(address)
        for index in start..<start &+ Self.window
        where entries[index].load(ordering: .relaxed) &>> 16 == address.rawValue {
            return index
        }
        return nil
    }

    @inline(__always)
    private func isAlive(_ index: Int, now: Instant) -> Bool {
        let age = ages[index].load(ordering: .relaxed)
        return age >= Self.permanent || now.since(Instant(nanoseconds: age)) < ageing
    }

    /// The peer a station is behind, or nil: then the frame is flooded.
    @inline(__always)
    public func lookup(_ address: MACAddress, now: Instant) -> PeerIndex? {
        guard let index = find(address), isAlive(index, now: now) else { return nil }
        let word = entries[index].load(ordering: .relaxed)
        // The place may have been given to another station since `find`.
        guard word &>> 16 == address.rawValue else { return nil }
        return PeerIndex(UInt16(truncatingIfNeeded: word))
    }

    /// The peer that a learned station was heard from within the last second or so; nil for all others.
    @inline(__always)
    func recentHolder(of address: MACAddress, now: Instant) -> PeerIndex? {
        guard let index = find(address) else { return nil }
        let age = ages[index].load(ordering: .relaxed)
        let word = entries[index].load(ordering: .relaxed)
        guard age < Self.permanent, word &>> 16 == address.rawValue,
            now.since(Instant(nanoseconds: age)) < Self.localHold
        else { return nil }
        return PeerIndex(UInt16(truncatingIfNeeded: word))
    }

    /// Notes that a frame with this source address came from `peer`.
    @inline(__always)
    public func learn(_ address: MACAddress, from peer: PeerIndex, now: Instant) -> Learning {
        guard let index = find(address) else { return insert(address, peer: peer, now: now) }
        let word = entries[index].load(ordering: .relaxed)
        let age = ages[index].load(ordering: .relaxed)
        if word == address.rawValue &<< 16 | UInt64(peer.rawValue) {
            // Never over an age that became permanent meanwhile.
            if age < Self.permanent, now.nanoseconds &- age > Self.refresh {
                _ = ages[index].compareExchange(expected: age, desired: now.nanoseconds, ordering: .relaxed)
            }
            return .known
        }
        return move(index, word: word, age: age, address: address, peer: peer, now: now)
    }

    @inline(never)
    private func move(
        _ index: Int,
        word: UInt64,
        age: UInt64,
        address: MACAddress,
        peer: PeerIndex,
        now: Instant
    ) -> Learning {
        if age >= Self.permanent { return .foreign }
        let holder = PeerIndex(UInt16(truncatingIfNeeded: word))
        let silence = now.since(Instant(nanoseconds: age))
        if silence < ageing {
            if holder == Self.localDevice, silence < Self.localHold { return .localStation }
            guard mayMove(index, now: now) else { return .frozen }
        }
        let hasPlace = shares.take(peer)
        let desired = hasPlace ? address.rawValue &<< 16 | UInt64(peer.rawValue) : 0
        guard entries[index].compareExchange(expected: word, desired: desired, ordering: .relaxed).exchanged else {
            // Another lane was faster; the next frame tells.
            if hasPlace { shares.give(peer) }
            return .known
        }
        shares.give(holder)
        guard hasPlace else {
            // Where it was it is no more: it is forgotten, so that frames for it are flooded.
            return refuse(now: now)
        }
        _ = ages[index].compareExchange(expected: age, desired: now.nanoseconds, ordering: .relaxed)
        return .known
    }

    /// Counts a move, and freezes the entry at the sixth within ten seconds, for thirty (product.md, forwarding database).
    ///
    /// The word of moves is milliseconds over 8 bits of count; the count 255 says that it is frozen since then.
    private func mayMove(_ index: Int, now: Instant) -> Bool {
        let (frozen, moment): (UInt64, UInt64) = (255, now.nanoseconds / 1_000_000)
        let state = moves[index].load(ordering: .relaxed)
        let (since, count) = (state &>> 8, state & 255)
        // Another lane's reading of the clock may be a little later.
        let elapsed = moment > since ? moment &- since : 0
        if count == frozen, elapsed < 30_000 { return false }
        let isFirst = count == 0 || count == frozen || elapsed >= 10_000
        if !isFirst, count >= 5 {
            let isMine = moves[index].compareExchange(
                expected: state,
                desired: moment &<< 8 | frozen,
                ordering: .relaxed
            ).exchanged
            if isMine { counts[1].wrappingAdd(1, ordering: .relaxed) }
            return false
        }
        let next = isFirst ? moment &<< 8 | 1 : state &+ 1
        _ = moves[index].compareExchange(expected: state, desired: next, ordering: .relaxed)
        return true
    }

    /// What `learn` would say, changing nothing; a full table is none of its concerns.
    func prospect(of address: MACAddress, from peer: PeerIndex, now: Instant) -> Learning {
        guard let index = find(address), isAlive(index, now: now) else { return .known }
        let word = entries[index].load(ordering: .relaxed)
        let age = ages[index].load(ordering: .relaxed)
        if word == address.rawValue &<< 16 | UInt64(peer.rawValue) { return .known }
        if age >= Self.permanent { return .foreign }
        let isLocal = PeerIndex(UInt16(truncatingIfNeeded: word)) == Self.localDevice
        if isLocal, now.since(Instant(nanoseconds: age)) < Self.localHold { return .localStation }
        let state = moves[index].load(ordering: .relaxed)
        let frozenFor = now.since(Instant(nanoseconds: state &>> 8 &* 1_000_000))
        return state & 255 == 255 && frozenFor < .seconds(30) ? .frozen : .known
    }

    @inline(never)
    private func insert(_ address: MACAddress, peer: PeerIndex, now: Instant) -> Learning {
        guard shares.take(peer) else { return refuse(now: now) }
        let word = address.rawValue &<< 16 | UInt64(peer.rawValue)
        let start = place(address)
        for index in start..<start + Self.window {
            let held = entries[index].load(ordering: .relaxed)
            let age = ages[index].load(ordering: .relaxed)
            guard held == 0 || !isAlive(index, now: now) else { continue }
            let (exchanged, found) = entries[index].compareExchange(expected: held, desired: word, ordering: .relaxed)
            if exchanged {
                if held != 0 { shares.give(PeerIndex(UInt16(truncatingIfNeeded: held))) }
                moves[index].store(0, ordering: .relaxed)
                _ = ages[index].compareExchange(expected: age, desired: now.nanoseconds, ordering: .relaxed)
                return .known
            }
            // Another lane has learned the same station in this moment.
            if found &>> 16 == address.rawValue {
                shares.give(peer)
                return .known
            }
        }
        shares.give(peer)
        return refuse(now: now)
    }

    /// Counts a station that is not learned, and looks for aged entries whose places others may have.
    private func refuse(now: Instant) -> Learning {
        counts[0].wrappingAdd(1, ordering: .relaxed)
        let start = counts[2].wrappingAdd(UInt64(Self.reclaimedPlaces), ordering: .relaxed).oldValue
        for step in 0..<Self.reclaimedPlaces {
            // The last window's places beyond the mask are left to `sweep`.
            removeIfAged((Int(truncatingIfNeeded: start) &+ step) & mask, now: now)
        }
        return .refused
    }

    private func removeIfAged(_ index: Int, now: Instant) {
        let word = entries[index].load(ordering: .relaxed)
        if word != 0, !isAlive(index, now: now) { _ = remove(word, at: index) }
    }

    private func remove(_ word: UInt64, at index: Int) -> Bool {
        guard entries[index].compareExchange(expected: word, desired: 0, ordering: .relaxed).exchanged else {
            return false
        }
        shares.give(PeerIndex(UInt16(truncatingIfNeeded: word)))
        return true
    }

    /// Removes aged entries, so that `usage` tells of living ones. Costs nothing where nothing is learned.
    public func sweep(now: Instant) {
        guard shares.total > 0 else { return }
        for index in 0..<mask + 1 + Self.window { removeIfAged(index, now: now) }
    }

    /// Whether a peer may use a station's address: the permanent entries say whose it is.
    /// - Parameter mustOwn: the peer has `allow.macs`, and an address that nobody owns is not its.
    @inline(__always)
    func claim(_ address: MACAddress, by peer: PeerIndex, mustOwn: Bool) -> Claim {
        guard let index = find(address) else { return mustOwn ? .unowned : .granted }
        let age = ages[index].load(ordering: .relaxed)
        let word = entries[index].load(ordering: .relaxed)
        guard age >= Self.permanent, word &>> 16 == address.rawValue else { return mustOwn ? .unowned : .granted }
        if UInt16(truncatingIfNeeded: word) != peer.rawValue { return .foreign }
        // What a directory says gives a peer nothing that its `allow` does not.
        return mustOwn && age < Kind.allowed.age ? .unowned : .granted
    }

    /// Enters a station that never ages and is never overwritten by learning, nor by a lesser kind.
    /// - Parameter kind: `control`, `allowed` or `static`.
    /// - Returns: false when its neighbourhood in the table is full of such stations.
    public func insertPermanent(_ address: MACAddress, peer: PeerIndex, kind: Kind = .static) -> Bool {
        precondition(kind.rawValue >= Kind.control.rawValue, "what is heard is learned")
        let age = kind.age
        if let index = find(address), ages[index].load(ordering: .relaxed) >= Self.permanent {
            if ages[index].load(ordering: .relaxed) > age { return true }
            enter(address, peer: peer, age: age, at: index)
            return true
        }
        let places = place(address)..<place(address) + Self.window
        // Its own place, else a free one, else one that was learned and can be learned again.
        let index =
            find(address) ?? places.first { entries[$0].load(ordering: .relaxed) == 0 }
            ?? places.first { ages[$0].load(ordering: .relaxed) < Self.permanent }
        guard let index else { return false }
        enter(address, peer: peer, age: age, at: index)
        return true
    }

    private func enter(_ address: MACAddress, peer: PeerIndex, age: UInt64, at index: Int) {
        let wasLearned = ages[index].exchange(age, ordering: .relaxed) < Self.permanent
        let old = entries[index].exchange(address.rawValue &<< 16 | UInt64(peer.rawValue), ordering: .relaxed)
        if wasLearned, old != 0 { shares.give(PeerIndex(UInt16(truncatingIfNeeded: old))) }
    }

    /// Removes what was learned: all of it, or what was learned of one peer (`localDevice` for the own device) or one
    /// station. Permanent entries stay.
    /// - Returns: how many entries are gone.
    @discardableResult
    public func flush(peer: PeerIndex? = nil, address: MACAddress? = nil) -> Int {
        var removed = 0
        for index in 0..<mask + 1 + Self.window {
            let word = entries[index].load(ordering: .relaxed)
            guard word != 0, ages[index].load(ordering: .relaxed) < Self.permanent else { continue }
            if let peer, UInt16(truncatingIfNeeded: word) != peer.rawValue { continue }
            if let address, word >> 16 != address.rawValue { continue }
            if remove(word, at: index) { removed += 1 }
        }
        return removed
    }

    /// Learns what `other` has learned and this table does not know, with its age: this one takes the other's place. Lanes may
    /// use both meanwhile.
    /// - Parameter isWanted: whether the stations behind a peer are still to be known; those of the own device are.
    public func adopt(_ other: ForwardingDatabase, where isWanted: (PeerIndex) -> Bool) {
        guard other.shares.total > 0 else { return }
        for index in 0..<other.mask + 1 + Self.window {
            let word = other.entries[index].load(ordering: .relaxed)
            let age = other.ages[index].load(ordering: .relaxed)
            let holder = PeerIndex(UInt16(truncatingIfNeeded: word))
            guard word != 0, age < Self.permanent, holder == Self.localDevice || isWanted(holder) else { continue }
            enter(word, age: age, moves: other.moves[index].load(ordering: .relaxed))
        }
    }

    /// Enters a learned station where a place is free; one that is known, or for which there is none, is left.
    private func enter(_ word: UInt64, age: UInt64, moves past: UInt64) {
        let address = MACAddress(word >> 16)
        let holder = PeerIndex(UInt16(truncatingIfNeeded: word))
        guard find(address) == nil, shares.take(holder) else { return }
        let start = place(address)
        for index in start..<start + Self.window {
            let former = ages[index].load(ordering: .relaxed)
            guard entries[index].compareExchange(expected: 0, desired: word, ordering: .relaxed).exchanged else {
                continue
            }
            moves[index].store(past, ordering: .relaxed)
            // A lane that heard it in this moment knows a later age.
            _ = ages[index].compareExchange(expected: former, desired: age, ordering: .relaxed)
            return
        }
        shares.give(holder)
    }

    /// How full the table is, and what did not fit.
    public struct Usage: Sendable {
        /// Stations that are learned; for up to half a minute with those that have aged.
        public let learned: Int
        /// How many may be.
        public let limit: Int
        /// How often a station was not learned, since the limit or its peer's share was reached.
        public let refused: UInt64
        /// How often an entry was frozen since it moved too often.
        public let frozen: UInt64
    }

    /// The state of the table now.
    public var usage: Usage {
        Usage(
            learned: shares.total,
            limit: shares.limit,
            refused: counts[0].load(ordering: .relaxed),
            frozen: counts[1].load(ordering: .relaxed)
        )
    }

    /// Every living entry, in no order.
    public func rows(now: Instant) -> [Row] {
        (0..<mask + 1 + Self.window).compactMap { index in
            let word = entries[index].load(ordering: .relaxed)
            guard word != 0, isAlive(index, now: now) else { return nil }
            let age = ages[index].load(ordering: .relaxed)
            let peer = PeerIndex(UInt16(truncatingIfNeeded: word))
            let isPermanent = age >= Self.permanent
            return Row(
                address: MACAddress(word >> 16),
                peer: peer,
                kind: isPermanent
                    ? Kind(rawValue: age - Self.permanent) ?? .static : peer == Self.localDevice ? .local : .learned,
                lastSeen: isPermanent ? nil : Instant(nanoseconds: age)
            )
        }
    }
}
