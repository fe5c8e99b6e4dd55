import VXWire

/// DSCP and ECN between a frame's IP header and the one outside (RFC 2983, RFC 6040).
enum TrafficClass {
    /// The ECN field (RFC 3168, 5).
    static var ecnMask: UInt8 { 3 }
    private static var ect1: UInt8 { 1 }
    private static var congestionExperienced: UInt8 { 3 }

    /// The traffic class of an outer header: the inner one, in which ECN is copied as it is (RFC 6040, 4.1, normal mode). Zero
    /// for whatever is no IP: nobody answers to congestion there.
    @inline(__always)
    static func outer(of frame: UnsafeRawPointer, count: Int) -> UInt8 {
        guard let (offset, type) = InnerPacket.networkHeader(frame, count: count), count >= offset &+ 2 else {
            return 0
        }
        if type == EtherType.ipv4 { return frame.load(fromByteOffset: offset &+ 1, as: UInt8.self) }
        if type == EtherType.ipv6 { return UInt8(truncatingIfNeeded: frame.bigEndian16(at: offset) &>> 4) }
        return 0
    }

    /// What routers said of the datagram becomes the frame's (RFC 6040, 4.2): congestion marks an ECN-capable packet, ECT(1)
    /// outside replaces ECT(0) inside. What is no IP stays as it is.
    /// - Parameters:
    ///   - ecn: the outer ECN field: ECT(1) or CE, since no other changes anything.
    ///   - frame: the frame.
    ///   - count: its length.
    /// - Returns: false for congestion on a packet whose sender takes no part in ECN, which must be dropped: its loss is the
    ///   only sign that reaches the sender.
    @inline(__always)
    static func merge(_ ecn: UInt8, into frame: UnsafeMutableRawPointer, count: Int) -> Bool {
        guard let (offset, type) = InnerPacket.networkHeader(frame, count: count) else { return true }
        let isIPv4 = type == EtherType.ipv4
        guard isIPv4 && count >= offset &+ 20 || type == EtherType.ipv6 && count >= offset &+ 40 else { return true }
        let old = UnsafeRawPointer(frame).bigEndian16(at: offset)
        // The first 16 bits hold the field at bit 0 in IPv4, at bit 4 in IPv6.
        let shift: UInt16 = isIPv4 ? 0 : 4
        let inner = UInt8(truncatingIfNeeded: old &>> shift) & ecnMask
        let isCongested = ecn & ecnMask == congestionExperienced
        if inner == 0 { return !isCongested }
        guard inner != congestionExperienced else { return true }
        let merged = isCongested ? congestionExperienced : ect1
        let new = old & ~(UInt16(ecnMask) &<< shift) | UInt16(merged) &<< shift
        frame.storeBigEndian(new, at: offset)
        if isIPv4 {
            // RFC 1624, equation 3.
            let checksum = UnsafeRawPointer(frame).bigEndian16(at: offset &+ 10)
            let sum = UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new)
            frame.storeBigEndian(InternetChecksum.finish(sum), at: offset &+ 10)
        }
        return true
    }
}
