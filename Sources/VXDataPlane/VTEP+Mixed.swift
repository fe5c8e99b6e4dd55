public import VXWire

// Networks with sealed peers and plaintext ones: the two sides are told apart, and a relay passes frames between them.
extension VTEP {
    /// How often the addresses of keyed peers are looked up anew, at most: they move.
    private static var keyedPeersLifetime: Interval { .seconds(1) }
    /// How often the handshake thread is told of plaintext in one peer's name.
    private static var tripwireInterval: Interval { .seconds(1) }

    /// Whether a station was heard on the other side of a mixed network within the last second, or from any other peer of a
    /// relaying one: then this frame has come back, or somebody borrows the station's address, or it has moved and is believed
    /// in a second.
    @inline(__always)
    func isHeldElsewhere(_ source: MACAddress, than peer: PeerIndex, network: Int, now: Instant) -> Bool {
        guard let holder = networks[network].forwarding.recentHolder(of: source, now: now), holder != peer,
            holder != ForwardingDatabase.localDevice
        else { return false }
        return networks[network].relays
            || peers[Int(holder.rawValue)].isPlaintext != peers[Int(peer.rawValue)].isPlaintext
    }

    // MARK: - Relay

    /// Passes an admitted frame on to the other side, if it belongs there; never back to its own (split horizon).
    /// - Returns: whether it is also for the own device.
    @inline(never)
    mutating func relay(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        offload: VirtioNetHeader,
        from peer: PeerIndex,
        now: Instant
    ) -> Bool {
        func drop(_ reason: DropReason) {
            dropReceived(reason, frame, count: count, network: network, peer: peer, now: now)
        }
        let toPlaintext = !peers[Int(peer.rawValue)].isPlaintext
        let destination = Self.macAddress(at: frame)
        var target: PeerIndex?
        if !destination.isMulticast {
            target = networks[network].forwarding.lookup(destination, now: now)
            if target == ForwardingDatabase.localDevice { return true }
        }
        if let target {
            guard peers[Int(target.rawValue)].isPlaintext == toPlaintext else {
                drop(.hairpin)
                return false
            }
        } else if networks[network].flood == .none {
            drop(.notFlooded)
            return true
        } else if networks[network].loops?.mayFlood(now: now) == false {
            drop(.relayStopped)
            return true
        } else if !destination.isMulticast, let buckets = networks[network].buckets,
            // A multicast frame has paid before it was learned from.
            !buckets.take(1, from: peer, now: now)
        {
            drop(.floodLimited)
            return true
        }
        relayed.append(
            RelayedFrame(
                frame: frame,
                count: count,
                network: network,
                offload: offload,
                origin: peer,
                target: target,
                toPlaintext: toPlaintext
            )
        )
        return target == nil
    }

    /// Whether frames wait to be passed on; their bytes are still where they were received.
    public var hasRelayed: Bool { !relayed.isEmpty }

    /// Sends what is to be passed on from peers to peers. Call it until it has `finished`, with a flush in between, before the
    /// receive buffer is used again and before `removeDelivered`.
    #if !DEBUG && compiler(>=6.3)
        @_noLocks
    #endif
    public mutating func sendRelayed(now: Instant) -> Progress {
        if resume(now: now) == .batchFull { return .batchFull }
        while let (entry, copy) = relayed.takeNext() {
            guard take(copy, count: entry.count, offload: entry.offload, network: entry.network) else {
                dropSent(.invalidOffload, copy, count: entry.count, network: entry.network, now: now)
                continue
            }
            cursor.isFlood = entry.target == nil
            cursor.floodSide = entry.toPlaintext ? .plaintext : .sealed
            cursor.origin = entry.origin
            if cursor.isFlood, let origin = entry.origin, Self.macAddress(at: copy).isMulticast {
                chooseGroup(copy, count: entry.count, from: origin, now: now)
            }
            if let target = entry.target { cursor.peer = target }
            if resume(now: now) == .batchFull { return .batchFull }
        }
        sealOpenDatagram(now: now)
        return .finished
    }

    // MARK: - Tripwires

    /// Counts plaintext that no plaintext peer of the network has sent. Where it claims to come from a keyed peer, that is
    /// shown with the peer: somebody forges, or the peer does not encrypt.
    @inline(never)
    @_semantics("no_performance_analysis")
    mutating func refusePlaintext(
        _ datagram: UnsafeRawPointer,
        count: Int,
        from source: Endpoint,
        network: Int,
        isPeer: Bool,
        now: Instant
    ) {
        let keyed = keyedPeer(at: source, now: now)
        if let keyed {
            let place = Int(keyed.rawValue)
            peers[place].counters.countTripwire()
            if peers[place].tripwireToldAt.map({ now.since($0) >= Self.tripwireInterval }) ?? true {
                peers[place].tripwireToldAt = now
                raise(.tripwire(keyed, from: source))
            }
        }
        let reason: DropReason
        if networks[network].mode == .sealed {
            reason = .plaintextForSealed
        } else {
            reason = keyed != nil ? .tripwire : isPeer ? .vniNotAllowed : .unknownSource
        }
        dropDatagram(reason, datagram, count: count, from: source, now: now)
    }

    private mutating func keyedPeer(at source: Endpoint, now: Instant) -> PeerIndex? {
        if keyedPeersAt.map({ now.since($0) >= Self.keyedPeersLifetime }) ?? true {
            keyedPeersAt = now
            keyedPeers = PlaceMap(
                peers.indices.compactMap { place in
                    guard !peers[place].isPlaintext, let endpoint = peers[place].endpoint else { return nil }
                    return (endpoint.placeKey, place)
                }
            )
        }
        let place = keyedPeers.find(source.placeKey)
        // It may have moved, or its index be another's, since the map was made.
        guard place >= 0, !peers[place].isPlaintext, peers[place].endpoint?.isSameHost(as: source) == true else {
            return nil
        }
        return PeerIndex(UInt16(truncatingIfNeeded: place))
    }
}
