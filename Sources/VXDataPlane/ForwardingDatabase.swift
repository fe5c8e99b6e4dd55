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
    /// The age of an entry that never ages.
    private static let permanent = UInt64.max
    /// A station seen on the own device within this time is not learned behind a peer (product.md, forwarding
    /// database).
    private static let localHold = Interval.seconds(1)

    private let entries: UnsafeMutablePointer<Atomic<UInt64>>
    private let ages: UnsafeMutablePointer<Atomic<UInt64>>
    private let mask: Int
    private let ageing: Interval

    /// One row of the table, for people.
    public struct Row: Sendable {
        /// The station.
        public let address: MACAddress
        /// The peer it is behind; `localDevice` for this node's own.
        public let peer: PeerIndex
        /// Configured, and never ageing.
        public let isStatic: Bool
        /// When it was last heard; meaningless for a static row.
        public let lastSeen: Instant
    }

    /// What `learn` did.
    public enum Learning: Sendable {
        /// The entry was there, or is now.
        case known
        /// A station of this node's own device speaks from a peer.
        case localStation
        /// A static entry says otherwise, or the table has no place: nothing was changed.
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
        return age == Self.permanent || now.since(Instant(nanoseconds: age)) < ageing
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
            if age != Self.permanent, now.nanoseconds &- age > 500_000_000 {
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
        if age == Self.permanent { return isLocal ? .localStation : .refused }
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

    /// Enters a configured station, which never ages and is never overwritten by learning.
    /// - Returns: false when its neighbourhood in the table is full of other configured stations.
    public func insertStatic(_ address: MACAddress, peer: PeerIndex) -> Bool {
        let start = place(address)
        let free = (start..<start + Self.window).first {
            let word = entries[$0].load(ordering: .relaxed)
            return word &>> 16 == address.rawValue || ages[$0].load(ordering: .relaxed) != Self.permanent
        }
        guard let free else { return false }
        ages[free].store(Self.permanent, ordering: .relaxed)
        entries[free].store(address.rawValue &<< 16 | UInt64(peer.rawValue), ordering: .relaxed)
        return true
    }

    /// Removes every learned entry, or those of one peer. Static ones stay.
    public func flush(peer: PeerIndex? = nil) {
        for index in 0..<mask + 1 + Self.window {
            let word = entries[index].load(ordering: .relaxed)
            guard word != 0, ages[index].load(ordering: .relaxed) != Self.permanent else { continue }
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
            return Row(
                address: MACAddress(word >> 16),
                peer: PeerIndex(UInt16(truncatingIfNeeded: word)),
                isStatic: age == Self.permanent,
                lastSeen: Instant(nanoseconds: age)
            )
        }
    }
}
