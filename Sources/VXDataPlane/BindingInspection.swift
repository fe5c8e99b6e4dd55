import VXWire

/// Whether a frame keeps to its peer's `allow`: source MAC address, inner source address, ARP and neighbour discovery
/// payloads, router advertisements and DHCP answers.
///
/// Runs for every frame of a peer that has an `allow`, on bytes that an authenticated but hostile peer chose. What cannot
/// be seen is refused: a header chain that is cut, hidden in fragments or too long (RFC 7112, RFC 7113, RFC 6980).
struct BindingInspection {
    private let frame: UnsafeRawPointer
    private let count: Int
    private let rules: BindingRules
    private let forwarding: ForwardingDatabase
    private let peer: PeerIndex

    /// IPv6 extension headers before nobody looks any further.
    private static let mostHeaders = 8

    /// Why the frame may not pass; nil when it may.
    @inline(__always)
    static func violation(
        in frame: UnsafeRawPointer,
        count: Int,
        source: MACAddress,
        rules: BindingRules,
        forwarding: ForwardingDatabase,
        peer: PeerIndex
    ) -> DropReason? {
        BindingInspection(frame: frame, count: count, rules: rules, forwarding: forwarding, peer: peer)
            .violation(source: source)
    }

    @inline(never)
    private func violation(source: MACAddress) -> DropReason? {
        switch forwarding.claim(source, by: peer, mustOwn: rules.bindsMACs) {
        case .granted: break
        case .unowned: return .macNotAllowed
        case .foreign: return .exclusiveMAC
        }
        guard let (offset, type) = InnerPacket.networkHeader(frame, count: count) else {
            // More tags than anybody looks past.
            return .sourceNotAllowed
        }
        return switch type {
        case EtherType.ipv4: ipv4(at: offset)
        case EtherType.ipv6: ipv6(at: offset)
        case EtherType.arp: arp(at: offset)
        default: nil
        }
    }

    @inline(__always)
    private func byte(_ offset: Int) -> UInt8 { frame.load(fromByteOffset: offset, as: UInt8.self) }

    @inline(__always)
    private func mac(at offset: Int) -> MACAddress { VTEP.macAddress(at: frame + offset) }

    @inline(__always)
    private func mayUse(_ address: MACAddress) -> Bool {
        forwarding.claim(address, by: peer, mustOwn: rules.bindsMACs) == .granted
    }

    // MARK: IPv4

    @inline(__always)
    private func ipv4(at offset: Int) -> DropReason? {
        guard count >= offset &+ 20, byte(offset) &>> 4 == 4 else { return .sourceNotAllowed }
        let header = Int(byte(offset) & 0x0f) &* 4
        guard header >= 20, count >= offset &+ header else { return .sourceNotAllowed }
        let source = IPv4Address(frame.bigEndian32(at: offset &+ 12))
        let isUDP = byte(offset &+ 9) == IPProtocol.udp
        // A later fragment carries no ports; the first one was, or will be, looked at.
        let isFirst = frame.bigEndian16(at: offset &+ 6) & 0x1fff == 0
        let udp = isUDP && isFirst && count >= offset &+ header &+ 8 ? offset &+ header : -1
        if !rules.admits(source) {
            // A DHCP client that has no address yet.
            guard source.rawValue == 0, udp >= 0, frame.bigEndian32(at: udp) == 68 &<< 16 | 67 else {
                return .sourceNotAllowed
            }
        }
        if rules.refusesRouters, udp >= 0 {
            let port = frame.bigEndian16(at: udp &+ 2)
            if port == 68 { return .dhcpServerNotAllowed }
            // To a relay: BOOTREPLY, or what cannot be seen to be none (RFC 2131, 2).
            if port == 67, count < udp &+ 9 || byte(udp &+ 8) != 1 { return .dhcpServerNotAllowed }
        }
        return nil
    }

    @inline(__always)
    private func arp(at offset: Int) -> DropReason? {
        guard count >= offset &+ ARPPacket.length, frame.bigEndian32(at: offset) == 0x0001_0800,
            frame.bigEndian16(at: offset &+ 4) == 0x0604, mayUse(mac(at: offset &+ 8))
        else { return .arpNotAllowed }
        var address = IPv4Address(frame.bigEndian32(at: offset &+ 14))
        // A probe (RFC 5227, 2.1.1) claims the address it asks for.
        if address.rawValue == 0, frame.bigEndian16(at: offset &+ 6) == 1 {
            address = IPv4Address(frame.bigEndian32(at: offset &+ 24))
        }
        return rules.admits(address) ? nil : .arpNotAllowed
    }

    // MARK: IPv6

    @inline(__always)
    private func ipv6(at offset: Int) -> DropReason? {
        guard count >= offset &+ 40, byte(offset) &>> 4 == 6 else { return .sourceNotAllowed }
        let source = frame.ipv6Address(at: offset &+ 8)
        let end = min(count, offset &+ 40 &+ Int(frame.bigEndian16(at: offset &+ 4)))
        let isUnspecified = source.high == 0 && source.low == 0
        if !isUnspecified, !rules.admits(source) { return .sourceNotAllowed }

        var next = byte(offset &+ 6)
        var position = offset &+ 40
        var isFragmented = false
        var headers = 0
        // Hop-by-hop options, routing, fragment, destination options, AH, mobility, HIP, Shim6.
        while next == 0 || next == 43 || next == 44 || next == 60 || next == 51 || next == 135 || next == 139
            || next == 140
        {
            guard headers < Self.mostHeaders, end >= position &+ 8 else { return .hiddenHeaders }
            headers &+= 1
            let units = Int(byte(position &+ 1))
            if next == 44 {
                isFragmented = true
                if frame.bigEndian16(at: position &+ 2) & 0xfff8 != 0 {
                    // A later fragment: the first one was, or will be, looked at.
                    return isUnspecified && rules.bindsPrefixes ? .sourceNotAllowed : nil
                }
                next = byte(position)
                position &+= 8
            } else {
                let length = next == 51 ? (units &+ 2) &* 4 : (units &+ 1) &* 8
                next = byte(position)
                position &+= length
            }
        }
        if next == IPProtocol.icmpv6 {
            guard end >= position &+ 4 else { return .hiddenHeaders }
            return icmpv6(at: position, end: end, isUnspecified: isUnspecified, isFragmented: isFragmented)
        }
        if isUnspecified, rules.bindsPrefixes { return .sourceNotAllowed }
        if next == IPProtocol.udp, rules.refusesRouters {
            guard end >= position &+ 8 else { return .hiddenHeaders }
            let port = frame.bigEndian16(at: position &+ 2)
            if port == 546 { return .dhcpServerNotAllowed }
            if port == 547 {
                // ADVERTISE, REPLY, RECONFIGURE, RELAY-REPL (RFC 8415, 7.3).
                guard end >= position &+ 9 else { return .dhcpServerNotAllowed }
                let kind = byte(position &+ 8)
                if kind == 2 || kind == 7 || kind == 10 || kind == 13 { return .dhcpServerNotAllowed }
            }
        }
        return nil
    }

    @inline(__always)
    private func icmpv6(at position: Int, end: Int, isUnspecified: Bool, isFragmented: Bool) -> DropReason? {
        let type = byte(position)
        switch type {
        case 133: return options(from: position &+ 8, end: end, isFragmented: isFragmented)
        case 134, 137:
            if rules.refusesRouters { return .routerNotAllowed }
            if isUnspecified, rules.bindsPrefixes { return .sourceNotAllowed }
            return options(from: position &+ (type == 134 ? 16 : 40), end: end, isFragmented: isFragmented)
        case 135, 136:
            guard end >= position &+ 24 else { return .neighborNotAllowed }
            // A solicitation asks for another's address, unless it comes from `::`: that is duplicate address detection,
            // and claims it (RFC 4862, 5.4).
            if type == 136 || isUnspecified, !rules.admits(frame.ipv6Address(at: position &+ 8)) {
                return .neighborNotAllowed
            }
            if type == 136, isUnspecified, rules.bindsPrefixes { return .sourceNotAllowed }
            return options(from: position &+ 24, end: end, isFragmented: isFragmented)
        case 131, 132, 143:
            // Multicast listener reports leave before the sender has an address (RFC 3590).
            return nil
        default:
            return isUnspecified && rules.bindsPrefixes ? .sourceNotAllowed : nil
        }
    }

    /// The link-layer addresses among a neighbour discovery message's options (RFC 4861, 4.6.1). Such a message is never
    /// fragmented (RFC 6980).
    @inline(__always)
    private func options(from start: Int, end: Int, isFragmented: Bool) -> DropReason? {
        if isFragmented { return .neighborNotAllowed }
        var position = start
        while position &+ 8 <= end {
            let length = Int(byte(position &+ 1)) &* 8
            if length == 0 { return .neighborNotAllowed }
            if byte(position) == 1 || byte(position) == 2 {
                guard length == 8, mayUse(mac(at: position &+ 2)) else { return .neighborNotAllowed }
            }
            position &+= length
        }
        return nil
    }
}
