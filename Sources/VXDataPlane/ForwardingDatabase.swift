import Synchronization
public import VXWire

/// The MAC table of one network: which peer a station is behind. Shared by all lanes without a lock.
///
/// An entry is one atomic word, 48 bits of MAC address over 16 bits of peer index, with a word for its age beside it.
/// A station may stand in any of `window` neighbouring places from its hash on, and a look-up reads all of them, so
/// that removing an entry is one store and needs no tombstone. A reader that races with a writer sees the old entry or
/// the new one, never a mixture.
public struct ForwardingDatabase: @unchecked Sendable {
    /// The peer index that stands for this node's own device.
    public static let localDevice = PeerIndex(0xffff)
    private static let window = 16
    /// Ages from here on stand for kinds of entries that never age.
    private static let permanent = UInt64.max - 15
    /// A station seen on the own device within this time is not learned behind a peer (product.md, forwarding
    /// database).
    private static let localHold = Interval.seconds(1)

    private let entries: UnsafeMutablePointer<Atomic<UInt64>>
    private let ages: UnsafeMutablePointer<Atomic<UInt64>>
    private let mask: Int
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
        /// The table has no place: nothing was changed.
        case refused
    }

    /// An empty table.
    /// - Parameters:
    ///   - capacityBits: log2 of the number of places.
    ///   - ageing: how long a learned entry lives after it was last heard (default of product.md: 300 s).
    public init(capacityBits: Int = 13, ageing: Interval = .seconds(300)) {
        let count = 1 << capacityBits
        mask = count - 1
        self.ageing = ageing
        // The window of the last place runs past the end, which saves the wrap on every look-up.
        entries = .allocate(capacity: count + Self.window)
        ages = .allocate(capacity: count + Self.window)
        for index in 0..<count + Self.window {
            (entries + index).initialize(to: Atomic(0))
            (ages + index).initialize(to: Atomic(0))
        }
    }

    @inline(__always)
    private func place(_ address: MACAddress) -> Int {
        Int(truncatingIfNeeded: (address.rawValue &* 0x9e37_79b9_7f4a_7c15) &>> 40) & mask
    }

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

    /// Notes that a frame with this source address came from `peer`.
    @inline(__always)
    public func learn(_ address: MACAddress, from peer: PeerIndex, now: Instant) -> Learning {
        guard let index = find(address) else { return insert(address, peer: peer, now: now) }
        let word = entries[index].load(ordering: .relaxed)
        let age = ages[index].load(ordering: .relaxed)
        if word == address.rawValue &<< 16 | UInt64(peer.rawValue) {
            // Only a coarse age is needed; writing it for every frame would bounce the line between lanes.
            if age < Self.permanent, now.nanoseconds &- age > 500_000_000 {
                ages[index].store(now.nanoseconds, ordering: .relaxed)
            }
            return .known
        }
        return move(index, address: address, peer: peer, now: now)
    }

    @inline(never)
    private func move(_ index: Int, address: MACAddress, peer: PeerIndex, now: Instant) -> Learning {
        let age = ages[index].load(ordering: .relaxed)
        let holder = UInt16(truncatingIfNeeded: entries[index].load(ordering: .relaxed))
        let isLocal = holder == Self.localDevice.rawValue
        if age >= Self.permanent { return .foreign }
        if isLocal, now.since(Instant(nanoseconds: age)) < Self.localHold { return .localStation }
        ages[index].store(now.nanoseconds, ordering: .relaxed)
        entries[index].store(address.rawValue &<< 16 | UInt64(peer.rawValue), ordering: .relaxed)
        return .known
    }

    @inline(never)
    private func insert(_ address: MACAddress, peer: PeerIndex, now: Instant) -> Learning {
        let word = address.rawValue &<< 16 | UInt64(peer.rawValue)
        let start = place(address)
        for index in start..<start + Self.window {
            let held = entries[index].load(ordering: .relaxed)
            guard held == 0 || !isAlive(index, now: now) else { continue }
            ages[index].store(now.nanoseconds, ordering: .relaxed)
            let (exchanged, found) = entries[index].compareExchange(expected: held, desired: word, ordering: .relaxed)
            // Another lane may have learned the same station in this moment.
            if exchanged || found &>> 16 == address.rawValue { return .known }
        }
        return .refused
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
        let start = place(address)
        let free = (start..<start + Self.window).first {
            entries[$0].load(ordering: .relaxed) &>> 16 == address.rawValue
                || ages[$0].load(ordering: .relaxed) < Self.permanent
        }
        guard let free else { return false }
        enter(address, peer: peer, age: age, at: free)
        return true
    }

    private func enter(_ address: MACAddress, peer: PeerIndex, age: UInt64, at index: Int) {
        ages[index].store(age, ordering: .relaxed)
        entries[index].store(address.rawValue &<< 16 | UInt64(peer.rawValue), ordering: .relaxed)
    }

    /// Removes every learned entry, or those of one peer. Static ones stay.
    public func flush(peer: PeerIndex? = nil) {
        for index in 0..<mask + 1 + Self.window {
            let word = entries[index].load(ordering: .relaxed)
            guard word != 0, ages[index].load(ordering: .relaxed) < Self.permanent else { continue }
            if let peer, UInt16(truncatingIfNeeded: word) != peer.rawValue { continue }
            _ = entries[index].compareExchange(expected: word, desired: 0, ordering: .relaxed)
        }
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
