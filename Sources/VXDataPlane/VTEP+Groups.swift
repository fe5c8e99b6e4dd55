import VXWire

// IGMP and MLD snooping (RFC 4541): multicast goes to the peers that want it.
extension VTEP {
    /// Takes a multicast frame under way for its group's alone, unless it is for all: messages about groups themselves, which
    /// every node learns from; groups of the link; and everything while nobody asks who wants what.
    @inline(__always)
    mutating func chooseGroup(_ frame: UnsafeRawPointer, count: Int, from holder: PeerIndex, now: Instant) {
        guard networks[cursor.network].groups != nil else { return }
        choose(frame, count: count, from: holder, now: now)
    }

    @inline(never)
    private mutating func choose(_ frame: UnsafeRawPointer, count: Int, from holder: PeerIndex, now: Instant) {
        guard let groups = networks[cursor.network].groups else { return }
        if let message = GroupMessage(frame, count: count) {
            if message.isQuery, holder == ForwardingDatabase.localDevice {
                groups.noteQuery(from: holder, isIPv6: message.isIPv6, now: now)
            }
            return
        }
        let destination = Self.macAddress(at: frame)
        guard let (group, isIPv6) = GroupMessage.group(of: frame, count: count, destination: destination),
            groups.hasQuerier(isIPv6: isIPv6, now: now)
        else { return }
        cursor.group = group
        cursor.isIPv6Group = isIPv6
    }

    /// Notes what a multicast frame from a peer says of groups.
    /// - Returns: false for a report that the own device is not to hear: a station there that did would not send its own
    ///   (RFC 4541, 2.1.1), and the peers would not learn of it. A querier there hears all.
    @inline(never)
    func noteGroups(_ frame: UnsafeRawPointer, count: Int, network: Int, peer: PeerIndex, now: Instant) -> Bool {
        guard let groups = networks[network].groups, var message = GroupMessage(frame, count: count) else {
            return true
        }
        if message.isQuery {
            groups.noteQuery(from: peer, isIPv6: message.isIPv6, now: now)
            return true
        }
        while let membership = message.next() { groups.note(membership, from: peer, now: now) }
        return groups.hasOwnQuerier(isIPv6: message.isIPv6, now: now)
    }
}
