import VXWire

// IGMP and MLD snooping (RFC 4541): multicast goes to the peers that want it.
extension VTEP {
    /// Takes a multicast frame under way for those alone whom it concerns, unless it is for all: groups of the link, and
    /// everything while nobody asks who wants what.
    @inline(__always)
    mutating func chooseGroup(_ frame: UnsafeRawPointer, count: Int, from holder: PeerIndex, now: Instant) {
        guard networks[cursor.network].groups != nil else { return }
        choose(frame, count: count, from: holder, now: now)
    }

    @inline(never)
    private mutating func choose(_ frame: UnsafeRawPointer, count: Int, from holder: PeerIndex, now: Instant) {
        guard let groups = networks[cursor.network].groups else { return }
        if let message = GroupMessage(frame, count: count) {
            if holder == ForwardingDatabase.localDevice { noteRouter(message, from: holder, in: groups, now: now) }
            if message.kind == .report, groups.hasQuerier(isIPv6: message.isIPv6, now: now) {
                cursor.audience = .reports(isIPv6: message.isIPv6)
            }
            return
        }
        let destination = Self.macAddress(at: frame)
        guard let (group, isIPv6) = GroupMessage.group(of: frame, count: count, destination: destination),
            groups.hasQuerier(isIPv6: isIPv6, now: now)
        else { return }
        cursor.audience = .group(group, isIPv6: isIPv6)
    }

    @inline(__always)
    private func noteRouter(_ message: GroupMessage, from holder: PeerIndex, in groups: GroupMembers, now: Instant) {
        switch message.kind {
        case .query(let isFromRouter):
            groups.noteQuery(from: holder, isIPv6: message.isIPv6, now: now)
            if isFromRouter { groups.noteRouter(from: holder, isIPv6: message.isIPv6, now: now) }
        case .router: groups.noteRouter(from: holder, isIPv6: message.isIPv6, now: now)
        case .report, .invalid: break
        }
    }

    /// Whether a peer is of those whom the multicast frame under way concerns.
    @inline(never)
    func isConcerned(_ peer: PeerIndex, now: Instant) -> Bool {
        guard let groups = networks[cursor.network].groups else { return true }
        let place = Int(peer.rawValue)
        switch cursor.audience {
        case .all: return true
        case .group(let group, let isIPv6):
            return peers[place].rules.isRouter || groups.isWanted(group, isIPv6: isIPv6, by: peer, now: now)
        case .reports(let isIPv6):
            // A node learns from each, and keeps it from its stations itself.
            return !peers[place].isPlaintext || peers[place].rules.isRouter
                || groups.takesReports(peer, isIPv6: isIPv6, now: now)
        }
    }

    /// Notes what a multicast frame from a peer says of groups. A peer that may be no router (`allow`) can't draw all groups to
    /// itself, or have those forgotten that it does not ask for.
    /// - Returns: false for a report that the own device is not to hear: a station there that did would not send its own
    ///   (RFC 4541, 2.1.1), and the peers would not learn of it. A querier or router there hears all.
    @inline(never)
    func noteGroups(_ frame: UnsafeRawPointer, count: Int, network: Int, peer: PeerIndex, now: Instant) -> Bool {
        guard let groups = networks[network].groups, var message = GroupMessage(frame, count: count) else {
            return true
        }
        switch message.kind {
        case .report:
            while let membership = message.next() { groups.note(membership, from: peer, now: now) }
            return groups.takesReports(ForwardingDatabase.localDevice, isIPv6: message.isIPv6, now: now)
        case .query, .router:
            if peers[Int(peer.rawValue)].rules.refusesRouters {
                groups.countIgnored()
            } else {
                noteRouter(message, from: peer, in: groups, now: now)
            }
        case .invalid: groups.countIgnored()
        }
        return true
    }
}
