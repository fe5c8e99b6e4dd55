import VXCrypto
public import VXWire

// What `vxseal trace --send` of a peer asks.
extension VTEP {
    /// What would become of a frame from a sealed peer: the decisions of `accept`, in their order, without their effects. Rates are
    /// left out, for they say nothing about the next frame.
    public func judge(_ frame: [UInt8], vni: VNI, from peer: PeerIndex, now: Instant) -> (FrameTrace.Fate, DropReason?)
    {
        let network = networkByVNI.find(UInt64(vni.rawValue))
        guard network >= 0 else { return (.dropped, .unknownVNI) }
        guard networks[network].admits(peer) else { return (.dropped, .vniNotAllowed) }
        return frame.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return (.dropped, .shortFrame) }
            if let reason = objection(to: base, count: bytes.count, network: network, from: peer, now: now) {
                return (.dropped, reason)
            }
            guard networks[network].relays else {
                return networks[network].hasDevice ? (.device, nil) : (.dropped, .noPeer)
            }
            return judgeRelay(to: Self.macAddress(at: base), network: network, from: peer, now: now)
        }
    }

    private func objection(
        to frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        from peer: PeerIndex,
        now: Instant
    ) -> DropReason? {
        guard networks[network].admitsTag(of: frame, count: count) else { return .vlanNotAllowed }
        if let reason = addressFault(of: frame, count: count, network: network)
            ?? violation(in: frame, count: count, network: network, from: peer)
        {
            return reason
        }
        let source = Self.macAddress(at: frame + 6)
        if networks[network].mode == .mixed, isHeldElsewhere(source, than: peer, network: network, now: now) {
            return .loopSuspected
        }
        let forwarding = networks[network].forwarding
        guard networks[network].learning else {
            if forwarding.lookup(source, now: now) == ForwardingDatabase.localDevice { return .loopSuspected }
            return forwarding.claim(source, by: peer, mustOwn: false) == .foreign ? .exclusiveMAC : nil
        }
        return switch forwarding.prospect(of: source, from: peer, now: now) {
        case .known, .refused: nil
        case .localStation: .loopSuspected
        case .foreign: .exclusiveMAC
        case .frozen: .macFlap
        }
    }

    /// The decisions of `relay`.
    private func judgeRelay(
        to destination: MACAddress,
        network: Int,
        from peer: PeerIndex,
        now: Instant
    ) -> (FrameTrace.Fate, DropReason?) {
        let own: (FrameTrace.Fate, DropReason?)? = networks[network].hasDevice ? (.device, nil) : nil
        if !destination.isMulticast, let holder = networks[network].forwarding.lookup(destination, now: now) {
            if holder == ForwardingDatabase.localDevice { return (.device, nil) }
            let isBack = peers[Int(holder.rawValue)].isPlaintext == peers[Int(peer.rawValue)].isPlaintext
            return isBack ? (.dropped, .hairpin) : (.relayed, nil)
        }
        if networks[network].flood == .none { return own ?? (.dropped, .notFlooded) }
        return networks[network].loops?.mayFlood(now: now) == false ? own ?? (.dropped, .relayStopped) : (.relayed, nil)
    }
}
