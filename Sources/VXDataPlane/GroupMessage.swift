import VXWire

/// A message by which multicast groups are asked for and reported: IGMP (RFC 1112, 2236, 3376) or MLD (RFC 2710, 3810); or by
/// which a multicast router tells of itself: a hello of PIM (RFC 7761, 4.9.2), an advertisement (RFC 4286).
struct GroupMessage {
    /// What one says of a group.
    struct Membership: Equatable {
        /// The Ethernet address that the group's frames go to.
        let group: MACAddress
        /// Somebody wants them, or has just left.
        let isWanted: Bool
    }

    enum Kind: Equatable {
        /// Asks who wants groups. Without a sender's address a switch asks, which wants none itself (RFC 4541, 2.1.1).
        case query(isFromRouter: Bool)
        case report
        /// A multicast router is there.
        case router
        /// Cut, or with a wrong checksum, or from beyond the link: nobody believes what it says (RFC 4541, 2.1.1).
        case invalid
    }

    let isIPv6: Bool
    let kind: Kind
    private let records: UnsafeRawPointer
    private let end: Int
    /// Records of a version that lists several; else a single group stands at the start.
    private var left: Int
    private var offset = 0
    private let single: Bool?

    /// Nil for a frame that is none.
    /// - Parameters:
    ///   - frame: the Ethernet header's first byte.
    ///   - count: bytes of the frame.
    init?(_ frame: UnsafeRawPointer, count: Int) {
        guard let envelope = GroupEnvelope(frame, count: count) else { return nil }
        isIPv6 = envelope.isIPv6
        let message = envelope.message
        let type = envelope.type
        var kind = Kind.report
        // Of a report: what it says of its single group, or how many records it has.
        var report: (single: Bool?, left: Int, least: Int) = (nil, 0, 8)
        if envelope.isPIM {
            guard type == 0x20 else { return nil }
            kind = .router
        } else {
            switch (isIPv6, type) {
            case (false, 0x11): kind = .query(isFromRouter: envelope.hasSender)
            case (true, 130): (kind, report.least) = (.query(isFromRouter: envelope.hasSender), 24)
            case (false, 0x12), (false, 0x16): report = (true, 1, 8)
            case (true, 131): report = (true, 1, 24)
            case (false, 0x17): report = (false, 1, 8)
            case (true, 132): report = (false, 1, 24)
            case (false, 0x22), (true, 143): report.left = -1
            case (false, 0x30), (true, 151): kind = .router
            default: return nil
            }
        }
        let isSeen = envelope.isIntact && (envelope.isPIM || envelope.count >= report.least)
        self.kind = isSeen ? kind : .invalid
        single = report.single
        left = !isSeen ? 0 : report.left < 0 ? Int(message.bigEndian16(at: 6)) : report.left
        // The group, or the first record.
        let first = single != nil && !isIPv6 ? 4 : 8
        records = message + first
        end = envelope.count &- first
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
