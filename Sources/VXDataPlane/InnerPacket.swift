import VXWire

/// Where the parts of a TCP segment or UDP datagram stand in its frame, found in one pass without any view: what
/// coalescing, partial checksums and segmentation of a frame need to know. Offsets count from the frame's first byte.
struct InnerPacket {
    let isIPv6: Bool
    let isTCP: Bool
    /// The IP header.
    let network: Int
    /// The TCP or UDP header.
    let transport: Int
    /// What follows it, options included in the header.
    let payload: Int
    /// One behind the packet's last byte; what lies behind it is Ethernet padding.
    let end: Int

    /// Where the checksum field stands, from `transport`.
    @inline(__always)
    var checksumOffset: Int { isTCP ? 16 : 6 }

    /// Nil for whatever is not TCP or UDP in one piece directly behind an IPv4 header or a plain IPv6 header, or whose
    /// lengths lie.
    @inline(__always)
    init?(_ frame: UnsafeRawPointer, count: Int) {
        guard let (offset, type) = Self.networkHeader(frame, count: count) else { return nil }
        network = offset
        let next: UInt8
        if type == EtherType.ipv4 {
            guard count >= offset &+ 20 else { return nil }
            let first = frame.load(fromByteOffset: offset, as: UInt8.self)
            let header = Int(first & 0x0f) &* 4
            let total = Int(frame.bigEndian16(at: offset &+ 2))
            guard first &>> 4 == 4, header >= 20, total >= header, count >= offset &+ total,
                frame.bigEndian16(at: offset &+ 6) & 0x3fff == 0
            else { return nil }
            isIPv6 = false
            transport = offset &+ header
            end = offset &+ total
            next = frame.load(fromByteOffset: offset &+ 9, as: UInt8.self)
        } else if type == EtherType.ipv6 {
            guard count >= offset &+ 40, frame.load(fromByteOffset: offset, as: UInt8.self) &>> 4 == 6 else {
                return nil
            }
            let total = 40 &+ Int(frame.bigEndian16(at: offset &+ 4))
            guard count >= offset &+ total else { return nil }
            isIPv6 = true
            transport = offset &+ 40
            end = offset &+ total
            next = frame.load(fromByteOffset: offset &+ 6, as: UInt8.self)
        } else {
            return nil
        }
        if next == IPProtocol.tcp {
            guard end &- transport >= 20 else { return nil }
            let header = Int(frame.load(fromByteOffset: transport &+ 12, as: UInt8.self) &>> 4) &* 4
            guard header >= 20, end &- transport >= header else { return nil }
            isTCP = true
            payload = transport &+ header
        } else if next == IPProtocol.udp {
            guard end &- transport >= 8, Int(frame.bigEndian16(at: transport &+ 4)) == end &- transport else {
                return nil
            }
            isTCP = false
            payload = transport &+ 8
        } else {
            return nil
        }
    }

    /// What the kernel is told of the frame when its checksum is partial.
    @inline(__always)
    var partialOffload: VirtioNetHeader {
        VirtioNetHeader(
            checksumStart: UInt16(truncatingIfNeeded: transport),
            checksumOffset: UInt16(truncatingIfNeeded: checksumOffset)
        )
    }

    /// What the kernel is told of the frame when it stands for segments of so many payload bytes.
    @inline(__always)
    func superFrameOffload(segmentSize: Int) -> VirtioNetHeader {
        var offload = partialOffload
        offload.segmentation =
            !isTCP
            ? VirtioNetHeader.Segmentation.udp
            : isIPv6 ? VirtioNetHeader.Segmentation.tcp6 : VirtioNetHeader.Segmentation.tcp4
        offload.segmentSize = UInt16(clamping: segmentSize)
        offload.headerLength = UInt16(truncatingIfNeeded: payload)
        return offload
    }

    /// Where the network header stands behind any tags, and the EtherType that says what it is.
    @inline(__always)
    static func networkHeader(_ frame: UnsafeRawPointer, count: Int) -> (offset: Int, type: UInt16)? {
        guard count >= EthernetFrame.headerLength else { return nil }
        var offset = 12
        var type = frame.bigEndian16(at: offset)
        var tags = 0
        while type == EtherType.vlan || type == EtherType.serviceVLAN {
            guard tags < EthernetFrame.mostTags, count >= offset &+ 6 else { return nil }
            offset &+= 4
            tags &+= 1
            type = frame.bigEndian16(at: offset)
        }
        return (offset &+ 2, type)
    }

    /// The unfolded sum over the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) without its length.
    @inline(__always)
    static func pseudoHeaderSum(_ header: UnsafeRawPointer, isIPv6: Bool, isTCP: Bool) -> UInt64 {
        let addresses =
            isIPv6
            ? InternetChecksum.sum(header + 8, count: 32) : InternetChecksum.sum(header + 12, count: 8)
        return addresses &+ UInt64(isTCP ? IPProtocol.tcp : IPProtocol.udp)
    }
}

extension UnsafeRawPointer {
    @inline(__always)
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always)
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    func ipv6Address(at offset: Int) -> IPv6Address {
        IPv6Address(
            high: UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
            low: UInt64(bigEndian: loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self))
        )
    }
}

extension UnsafeMutableRawPointer {
    @inline(__always)
    func storeBigEndian(_ value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    @inline(__always)
    func storeBigEndian(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    @inline(__always)
    func storeBigEndian(_ value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    @inline(__always)
    func storeBigEndian(_ address: IPv6Address, at offset: Int) {
        storeBigEndian(address.high, at: offset)
        storeBigEndian(address.low, at: offset &+ 8)
    }

    @inline(__always)
    func storeBigEndian(_ address: MACAddress, at offset: Int) {
        storeBigEndian(UInt32(truncatingIfNeeded: address.rawValue &>> 16), at: offset)
        storeBigEndian(UInt16(truncatingIfNeeded: address.rawValue), at: offset &+ 4)
    }
}
