public import VXWire

/// What a lane says of a captured packet beside its bytes.
public struct CaptureLabel: Sendable {
    /// As `lane`: no lane's, the handshake thread's.
    @inlinable
    public static var noLane: UInt8 { 255 }

    /// When its batch was read, or sent.
    public var time: Instant
    /// A datagram of the underlay, else a frame of a network.
    public var isOuter: Bool
    /// To a peer, else from one.
    public var isSent: Bool
    /// Bytes of the whole packet, of which fewer may be kept.
    public var length: Int
    /// Whose it is; nil where that is not known.
    public var peer: PeerIndex?
    /// Its network; nil for sealed datagrams.
    public var vni: VNI?
    /// The place of the network; below zero where it has none.
    public var network: Int32 = -1
    /// The sender's lane of a sealed datagram and of the frames in it, this node's of all else.
    public var lane: UInt8 = 0
    /// The number of the key pair (`SessionParameters.epoch`); 0 where there is none.
    public var epoch: UInt32 = 0
    /// Why it went no further; nil if it did.
    public var dropped: DropReason?
    /// The inner checksum is still to be completed.
    public var isPartial = false
    /// A super-frame stands for segments of so many payload bytes; 0 for an ordinary frame.
    public var segmentSize: UInt16 = 0
    /// Where a datagram came from, or goes to.
    public var remote: Endpoint?
    /// The port of this node that it came to, or left from.
    public var localPort: UInt16 = 0
    /// DSCP and ECN of a datagram's IP header; of a received one ECN alone.
    public var trafficClass: UInt8 = 0

    /// Of a packet that was passed on.
    @inline(__always)
    public init(time: Instant, isOuter: Bool, isSent: Bool, length: Int) {
        self.time = time
        self.isOuter = isOuter
        self.isSent = isSent
        self.length = length
    }
}

/// What a capture wants. The lanes look at it before anything is copied.
public struct CaptureFilter: Sendable {
    /// What of dropped packets.
    public enum Drops: Sendable {
        /// None of them.
        case excluded
        /// Those too.
        case included
        /// Those alone.
        case only
    }

    /// Frames of the networks.
    public var inner = true
    /// Datagrams of the underlay.
    public var outer = false
    /// Which of both go no further.
    public var drops = Drops.excluded
    /// To peers (true) or from peers (false); nil for both.
    public var isSent: Bool?
    /// Of this peer.
    public var peer: PeerIndex?
    /// Where that peer is: a datagram from there that was dropped before its peer was known counts as its.
    public var peerEndpoint: Endpoint?
    /// Frames of this network.
    public var vni: VNI?
    /// Frames from or to this station.
    public var mac: MACAddress?
    /// Frames from or to this address: IPv4, IPv6, or in ARP.
    public var address: IPAddress?
    /// TCP segments and UDP datagrams from or to this port, in host order.
    public var port: UInt16?
    /// How many bytes of each packet are kept.
    public var snap = 65_535

    /// All frames.
    public init() {}

    /// Whether a packet is wanted, as far as its label tells.
    @inline(__always)
    func wants(_ label: CaptureLabel) -> Bool {
        guard label.isOuter ? outer : inner else { return false }
        switch drops {
        case .excluded: if label.dropped != nil { return false }
        case .only: if label.dropped == nil { return false }
        case .included: break
        }
        if let isSent, isSent != label.isSent { return false }
        if let peer, !isOf(peer, label) { return false }
        if !label.isOuter, let vni, label.vni?.rawValue != vni.rawValue { return false }
        return true
    }

    @inline(__always)
    private func isOf(_ peer: PeerIndex, _ label: CaptureLabel) -> Bool {
        if let known = label.peer { return known.rawValue == peer.rawValue }
        guard let remote = label.remote, let peerEndpoint else { return false }
        return remote.isSameHost(as: peerEndpoint)
    }

    /// Whether a frame holds the station, address and port that are wanted.
    @inline(__always)
    func wants(frame: UnsafeRawPointer, count: Int) -> Bool {
        if mac == nil, address == nil, port == nil { return true }
        guard count >= EthernetFrame.headerLength else { return false }
        if let mac, VTEP.macAddress(at: frame).rawValue != mac.rawValue,
            VTEP.macAddress(at: frame + 6).rawValue != mac.rawValue
        {
            return false
        }
        if address == nil, port == nil { return true }
        guard let (offset, type) = InnerPacket.networkHeader(frame, count: count) else { return false }
        let header = frame + offset
        let room = count &- offset
        if type == EtherType.ipv4 { return wants(ipv4: header, count: room) }
        if type == EtherType.ipv6 { return wants(ipv6: header, count: room) }
        guard type == EtherType.arp, port == nil, room >= ARPPacket.length else { return false }
        return isWanted(header.bigEndian32(at: 14), header.bigEndian32(at: 24))
    }

    @inline(__always)
    private func wants(ipv4 header: UnsafeRawPointer, count: Int) -> Bool {
        guard count >= 20 else { return false }
        if address != nil, !isWanted(header.bigEndian32(at: 12), header.bigEndian32(at: 16)) { return false }
        guard port != nil else { return true }
        let length = Int(header.load(as: UInt8.self) & 0x0f) &* 4
        // Only a packet's first fragment has ports.
        guard length >= 20, header.bigEndian16(at: 6) & 0x1fff == 0 else { return false }
        let next = header.load(fromByteOffset: 9, as: UInt8.self)
        return hasWantedPort(header + length, count: count &- length, next: next)
    }

    @inline(__always)
    private func wants(ipv6 header: UnsafeRawPointer, count: Int) -> Bool {
        guard count >= 40 else { return false }
        if let address {
            guard case .v6(let wanted) = address,
                wanted == header.ipv6Address(at: 8) || wanted == header.ipv6Address(at: 24)
            else { return false }
        }
        guard port != nil else { return true }
        return hasWantedPort(header + 40, count: count &- 40, next: header.load(fromByteOffset: 6, as: UInt8.self))
    }

    @inline(__always)
    private func isWanted(_ source: UInt32, _ destination: UInt32) -> Bool {
        guard case .v4(let wanted) = address else { return false }
        return wanted.rawValue == source || wanted.rawValue == destination
    }

    @inline(__always)
    private func hasWantedPort(_ transport: UnsafeRawPointer, count: Int, next: UInt8) -> Bool {
        guard next == IPProtocol.tcp || next == IPProtocol.udp, count >= 4, let port else { return false }
        return transport.bigEndian16(at: 0) == port || transport.bigEndian16(at: 2) == port
    }
}
