import Synchronization
public import VXWire

/// Which peers want which multicast groups in one network, and which have a querier or a router, as IGMP, MLD and PIM say
/// (RFC 4541). Shared by all lanes; bounded, with a share for each peer.
public final class GroupTable: @unchecked Sendable {
    let groups: GroupMembers

    /// - Parameters:
    ///   - peerCount: the node's peers.
    ///   - members: those that take part in the network.
    ///   - seed: what the hash depends on; anything that peers can't know.
    public init(peerCount: Int, members: Int, seed: UInt64 = 0) {
        groups = GroupMembers(peerCount: peerCount, members: members, seed: seed)
    }

    deinit { groups.deallocate() }

    /// How it stands, for people.
    public struct Usage: Sendable {
        /// Memberships of peers that are known.
        public let memberships: Int
        /// How often one was not taken up, since its peer's share or the table was full.
        public let refused: UInt64
        /// Messages that were not believed: cut, with a wrong checksum, from beyond the link, or a router's from a peer that may
        /// be none.
        public let ignored: UInt64
        /// A querier was heard, so that groups go only where they are wanted: of IPv4, of IPv6.
        public let hasQuerier: (ipv4: Bool, ipv6: Bool)
    }

    /// The state of the table at a moment.
    public func usage(now: Instant) -> Usage {
        Usage(
            memberships: groups.count,
            refused: groups.refused,
            ignored: groups.ignored,
            hasQuerier: (groups.hasQuerier(isIPv6: false, now: now), groups.hasQuerier(isIPv6: true, now: now))
        )
    }

    /// A group that a peer wants.
    public struct Row: Sendable {
        /// The Ethernet address that the group's frames go to.
        public let group: MACAddress
        /// The peer.
        public let peer: PeerIndex
        /// How long it is believed without another report.
        public let remaining: Interval
    }

    /// The memberships that count at a moment, in no order.
    public func rows(now: Instant) -> [Row] { groups.rows(now: now) }

    /// Whether a peer gets all groups of a family, since a querier or router was heard behind it.
    public func hasRouter(_ peer: PeerIndex, isIPv6: Bool, now: Instant) -> Bool {
        groups.hasRouter(peer, isIPv6: isIPv6, now: now)
    }

    /// Removes memberships that were not renewed.
    public func sweep(now: Instant) { groups.sweep(now: now) }

    /// Forgets a peer that is gone, before its index is another's.
    public func forget(_ peer: PeerIndex) { groups.forget(peer) }
}

/// A table's memory as a lane sees it, valid as long as the table.
struct GroupMembers {
    /// Memberships, a group of one peer each, in any of `window` places from the hash on.
    private static var limit: Int { 4096 }
    private static var places: Int { 4 * limit }
    private static var window: Int { 16 }
    /// Group Membership Interval: 2 times 125 s and 10 s (RFC 3376, 8.4; RFC 3810, 9.4).
    private static var lifetime: Interval { .seconds(260) }
    /// What a leave leaves: Last Member Query Time, 2 s (RFC 3376, 8.8), in which others behind the same peer answer the query.
    private static var lastQueryTime: Interval { .seconds(2) }
    /// Other Querier Present Interval: 2 times 125 s and 5 s (RFC 3376, 8.5). Routers that only tell of themselves do so more
    /// often (RFC 7761, 4.11: 30 s; RFC 4286, 3: 20 s).
    private static var querierLifetime: Interval { .seconds(255) }

    /// The words of `heard` that are the network's own, behind its holders'.
    private enum Common: Int {
        /// When anybody last asked: IPv4, IPv6.
        case queries = 0
        case refused = 2
        case ignored = 3
        static var count: Int { 4 }
    }

    /// Group over 16 bits of peer, and until when.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// Four words of each peer, then of the own device: when a router was last heard there, IPv4 and IPv6; and when a query. Then
    /// `Common`.
    private let heard: UnsafeMutablePointer<Atomic<UInt64>>
    private let peerCount: Int
    private let shares: HolderShares
    private let hash: SeededHash

    fileprivate init(peerCount: Int, members: Int, seed: UInt64) {
        words = ZeroedWords.allocate(2 * (Self.places + Self.window))
        heard = ZeroedWords.allocate(4 * (peerCount + 1) + Common.count)
        self.peerCount = peerCount
        shares = HolderShares(limit: Self.limit, peerCount: peerCount, members: members)
        hash = SeededHash(seed)
    }

    fileprivate func deallocate() {
        ZeroedWords.deallocate(words)
        ZeroedWords.deallocate(heard)
        shares.deallocate()
    }

    private func key(_ group: MACAddress, _ peer: PeerIndex) -> UInt64 { group.rawValue &<< 16 | UInt64(peer.rawValue) }

    private func find(_ key: UInt64) -> Int? {
        let start = hash(key) % Self.places
        for place in start..<start &+ Self.window where words[2 &* place].load(ordering: .relaxed) == key {
            return place
        }
        return nil
    }

    private func until(_ place: Int) -> Instant {
        Instant(nanoseconds: words[2 &* place &+ 1].load(ordering: .relaxed))
    }

    /// Whether the peer is to get the group's frames.
    func isWanted(_ group: MACAddress, isIPv6: Bool, by peer: PeerIndex, now: Instant) -> Bool {
        if hasRouter(peer, isIPv6: isIPv6, now: now) { return true }
        guard let place = find(key(group, peer)) else { return false }
        return now < until(place)
    }

    /// Notes what a message from a peer says.
    func note(_ membership: GroupMessage.Membership, from peer: PeerIndex, now: Instant) {
        let key = key(membership.group, peer)
        if let place = find(key) {
            let end = now + (membership.isWanted ? Self.lifetime : Self.lastQueryTime)
            if membership.isWanted || end < until(place) {
                words[2 &* place &+ 1].store(end.nanoseconds, ordering: .relaxed)
            }
        } else if membership.isWanted {
            insert(key, peer: peer, now: now)
        }
    }

    private func insert(_ key: UInt64, peer: PeerIndex, now: Instant) {
        if shares.take(peer) {
            let start = hash(key) % Self.places
            for place in start..<start &+ Self.window {
                let held = words[2 &* place].load(ordering: .relaxed)
                guard held == 0 || until(place) < now else { continue }
                let (isMine, _) = words[2 &* place].compareExchange(expected: held, desired: key, ordering: .relaxed)
                guard isMine else { continue }
                words[2 &* place &+ 1].store((now + Self.lifetime).nanoseconds, ordering: .relaxed)
                if held != 0 { shares.give(PeerIndex(UInt16(truncatingIfNeeded: held))) }
                return
            }
            shares.give(peer)
        }
        heard[common(.refused)].wrappingAdd(1, ordering: .relaxed)
    }

    private func word(_ holder: PeerIndex) -> Int { 4 &* min(Int(holder.rawValue), peerCount) }

    private func common(_ word: Common) -> Int { 4 &* (peerCount &+ 1) &+ word.rawValue }

    /// Notes a query from a peer, or from the own device (`ForwardingDatabase.localDevice`).
    func noteQuery(from holder: PeerIndex, isIPv6: Bool, now: Instant) {
        let family = isIPv6 ? 1 : 0
        heard[word(holder) &+ 2 &+ family].store(now.nanoseconds, ordering: .relaxed)
        heard[common(.queries) &+ family].store(now.nanoseconds, ordering: .relaxed)
    }

    /// Notes that a multicast router is behind a peer, or the own device.
    func noteRouter(from holder: PeerIndex, isIPv6: Bool, now: Instant) {
        heard[word(holder) &+ (isIPv6 ? 1 : 0)].store(now.nanoseconds, ordering: .relaxed)
    }

    /// Counts a message that is not believed.
    func countIgnored() { heard[common(.ignored)].wrappingAdd(1, ordering: .relaxed) }

    private func isRecent(_ place: Int, now: Instant) -> Bool {
        let last = heard[place].load(ordering: .relaxed)
        return last != 0 && now.since(Instant(nanoseconds: last)) < Self.querierLifetime
    }

    /// Whether anybody asks who wants groups. Where nobody does, those who want one say so only once, and all are flooded.
    func hasQuerier(isIPv6: Bool, now: Instant) -> Bool {
        isRecent(common(.queries) &+ (isIPv6 ? 1 : 0), now: now)
    }

    /// Whether a router is behind a peer, which wants all groups.
    func hasRouter(_ holder: PeerIndex, isIPv6: Bool, now: Instant) -> Bool {
        isRecent(word(holder) &+ (isIPv6 ? 1 : 0), now: now)
    }

    /// Whether reports go to a peer, or the own device: a querier or router there needs them, and a station would hold its own
    /// back (RFC 4541, 2.1.1).
    func takesReports(_ holder: PeerIndex, isIPv6: Bool, now: Instant) -> Bool {
        hasRouter(holder, isIPv6: isIPv6, now: now)
            || isRecent(word(holder) &+ 2 &+ (isIPv6 ? 1 : 0), now: now)
    }

    fileprivate var count: Int { shares.total }
    fileprivate var refused: UInt64 { heard[common(.refused)].load(ordering: .relaxed) }
    fileprivate var ignored: UInt64 { heard[common(.ignored)].load(ordering: .relaxed) }

    fileprivate func rows(now: Instant) -> [GroupTable.Row] {
        guard shares.total > 0 else { return [] }
        return (0..<Self.places + Self.window).compactMap { place in
            let held = words[2 * place].load(ordering: .relaxed)
            let until = until(place)
            guard held != 0, now < until else { return nil }
            return GroupTable.Row(
                group: MACAddress(held >> 16),
                peer: PeerIndex(UInt16(truncatingIfNeeded: held)),
                remaining: until.since(now)
            )
        }
    }

    fileprivate func sweep(now: Instant) {
        guard shares.total > 0 else { return }
        remove { until($0) < now }
    }

    fileprivate func forget(_ peer: PeerIndex) {
        for place in 0..<4 { heard[word(peer) &+ place].store(0, ordering: .relaxed) }
        guard shares.total > 0 else { return }
        remove { UInt16(truncatingIfNeeded: words[2 &* $0].load(ordering: .relaxed)) == peer.rawValue }
    }

    private func remove(where isMeant: (Int) -> Bool) {
        for place in 0..<Self.places + Self.window {
            let held = words[2 &* place].load(ordering: .relaxed)
            guard held != 0, isMeant(place),
                words[2 &* place].compareExchange(expected: held, desired: 0, ordering: .relaxed).exchanged
            else { continue }
            shares.give(PeerIndex(UInt16(truncatingIfNeeded: held)))
        }
    }
}
