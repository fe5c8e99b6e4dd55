import VXWire

/// A message by which multicast groups are asked for and reported: IGMP (RFC 1112, 2236, 3376) or MLD (RFC 2710, 3810). What is
/// cut or of another kind is none.
struct GroupMessage {
    /// What one says of a group.
    struct Membership: Equatable {
        /// The Ethernet address that the group's frames go to.
        let group: MACAddress
        /// Somebody wants them, or has just left.
        let isWanted: Bool
    }

    let isIPv6: Bool
    /// Asks who is there: its sender is a router, or acts as one.
    let isQuery: Bool
    private let records: UnsafeRawPointer
    private let end: Int
    /// Records of a version that lists several; else a single group stands at the start.
    private var left: Int
    private var offset = 0
    private let single: Bool?

    /// - Parameters:
    ///   - frame: the Ethernet header's first byte.
    ///   - count: bytes of the frame.
    init?(_ frame: UnsafeRawPointer, count: Int) {
        guard let (network, type) = InnerPacket.networkHeader(frame, count: count) else { return nil }
        let header = frame + network
        let room = count &- network
        func byte(_ offset: Int) -> UInt8 { header.load(fromByteOffset: offset, as: UInt8.self) }
        var start = 0
        if type == EtherType.ipv4 {
            guard room >= 20, byte(9) == 2 else { return nil }
            start = Int(byte(0) & 15) &* 4
            // A later fragment has no header.
            guard start >= 20, room >= start &+ 8, header.bigEndian16(at: 6) & 0x1fff == 0 else { return nil }
            isIPv6 = false
        } else if type == EtherType.ipv6 {
            // MLD always carries a Router Alert option (RFC 2710, 3).
            guard room >= 48, byte(6) == 0, byte(40) == IPProtocol.icmpv6 else { return nil }
            start = 40 &+ 8 &* (Int(byte(41)) &+ 1)
            guard room >= start &+ 24 || room >= start &+ 8 && byte(start) == 143 else { return nil }
            isIPv6 = true
        } else {
            return nil
        }
        let kind = byte(start)
        // Group, or the first record, and how many records there are.
        switch (isIPv6, kind) {
        case (false, 0x11), (true, 130): (isQuery, single, left) = (true, nil, 0)
        case (false, 0x12), (false, 0x16), (true, 131): (isQuery, single, left) = (false, true, 1)
        case (false, 0x17), (true, 132): (isQuery, single, left) = (false, false, 1)
        case (false, 0x22), (true, 143): (isQuery, single, left) = (false, nil, Int(header.bigEndian16(at: start &+ 6)))
        default: return nil
        }
        let first = single != nil && !isIPv6 ? start &+ 4 : start &+ 8
        records = header + first
        end = room &- first
    }

    /// What it says of the next group; groups that are flooded anyway are left out.
    mutating func next() -> Membership? {
        let size = isIPv6 ? 16 : 4
        while left > 0 {
            left &-= 1
            if let single {
                guard end >= size else { return nil }
                if let group = group(at: 0) { return Membership(group: group, isWanted: single) }
                continue
            }
            guard end &- offset >= 4 &+ size else { return nil }
            let kind = records.load(fromByteOffset: offset, as: UInt8.self)
            let auxiliary = Int(records.load(fromByteOffset: offset &+ 1, as: UInt8.self)) &* 4
            let sources = Int(records.bigEndian16(at: offset &+ 2))
            let group = group(at: offset &+ 4)
            offset &+= 4 &+ size &+ sources &* size &+ auxiliary
            // RFC 3376, 4.2.12: includes of no source are leaves; blocked sources change nothing here.
            guard let group, kind >= 1, kind <= 5 else { continue }
            return Membership(group: group, isWanted: kind == 2 || kind == 4 || sources > 0)
        }
        return nil
    }

    private func group(at offset: Int) -> MACAddress? {
        guard isIPv6 else {
            let address = records.bigEndian32(at: offset)
            guard address &>> 28 == 14 else { return nil }
            let mac = MACAddress(0x0100_5e00_0000 | UInt64(address & 0x7f_ffff))
            return Self.isControl(mac) ? nil : mac
        }
        let scope = records.load(fromByteOffset: offset &+ 1, as: UInt8.self) & 15
        guard records.load(fromByteOffset: offset, as: UInt8.self) == 0xff, scope > 2 else { return nil }
        return MACAddress(0x3333_0000_0000 | UInt64(records.bigEndian32(at: offset &+ 12)))
    }

    /// Whether an IPv4 group's address is of the local network control block, 224.0.0.0/24, whose members need not report
    /// (RFC 4541, 2.1.2).
    private static func isControl(_ mac: MACAddress) -> Bool { mac.rawValue &>> 8 == 0x0100_5e00_00 }

    /// The group that a frame is for, and its family; nil for what is flooded whoever wants it: broadcast, groups of the link
    /// alone, and what is not IP.
    static func group(of frame: UnsafeRawPointer, count: Int, destination: MACAddress) -> (MACAddress, isIPv6: Bool)? {
        guard let (network, type) = InnerPacket.networkHeader(frame, count: count) else { return nil }
        if type == EtherType.ipv4, destination.rawValue &>> 24 == 0x0100_5e, !isControl(destination) {
            return (destination, false)
        }
        guard type == EtherType.ipv6, destination.rawValue &>> 32 == 0x3333, count >= network &+ 40,
            frame.load(fromByteOffset: network &+ 25, as: UInt8.self) & 15 > 2
        else { return nil }
        return (destination, true)
    }
}
