import VXWire

/// Which VLAN tags a network carries (`vlan:`): one bit a VLAN identifier, that of 0 for frames without one. The outermost tag
/// counts, whether of a customer (802.1Q) or a provider (802.1ad); a priority tag, whose identifier is 0, is no VLAN
/// (IEEE 802.1Q-2022, 9.6).
struct TagFilter {
    private let bits: UnsafeMutablePointer<UInt64>

    init(_ identifiers: [UInt16]) {
        bits = .allocate(capacity: 64)
        bits.initialize(repeating: 0, count: 64)
        for identifier in identifiers { bits[Int(identifier & 0xfff) / 64] |= 1 << UInt64(identifier % 64) }
    }

    func deallocate() { bits.deallocate() }

    /// Whether a frame may pass. One that ends within its tag does not; one too short for an Ethernet header is for others to
    /// drop.
    @inline(__always)
    func admits(_ frame: UnsafeRawPointer, count: Int) -> Bool {
        guard count >= EthernetFrame.headerLength else { return true }
        let type = frame.bigEndian16(at: 12)
        var identifier = 0
        if type == EtherType.vlan || type == EtherType.serviceVLAN {
            guard count >= EthernetFrame.headerLength &+ 4 else { return false }
            identifier = Int(frame.bigEndian16(at: 14) & 0xfff)
        }
        return bits[identifier &>> 6] & (1 &<< UInt64(identifier & 63)) != 0
    }
}
