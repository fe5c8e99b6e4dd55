import VXWire

/// Cuts a super-frame of the kernel (virtio 1.2, 5.1.6.2) into the frames it stands for: headers copied, lengths, IPv4
/// identification, TCP sequence and flags set for each, the checksum left partial.
///
/// Pure arithmetic: the caller says where a segment's header is to be written, and puts the payload behind it.
struct FrameSegmenter {
    /// Ethernet with four tags, IPv6 with 40 bytes of extensions, TCP with all options.
    static let mostHeader = 14 + 16 + 40 + 40 + 60

    let isTCP: Bool
    let isIPv6: Bool
    /// Bytes of all headers of a segment.
    let headerLength: Int
    /// Bytes behind them in the super-frame.
    let payloadLength: Int
    /// Payload bytes of each segment but the last.
    private(set) var segmentSize: Int
    /// How many segments there are.
    private(set) var count: Int
    /// A receiver finds the checksum by its own parse: there are no extension headers.
    let isPlain: Bool
    private let network: Int
    private let transport: Int
    private let sequence: UInt32
    private let identification: UInt16
    /// Of the pseudo-header without its length.
    private let pseudoSum: UInt64
    /// Of the IPv4 header without length, identification and checksum.
    private let headerSum: UInt64

    /// Nil when the header contradicts the frame.
    /// - Parameters:
    ///   - frame: the super-frame.
    ///   - length: its length.
    ///   - offload: what the kernel said of it.
    init?(_ frame: UnsafeRawPointer, length: Int, offload: VirtioNetHeader) {
        guard offload.isPartial, offload.segmentSize > 0,
            let (network, type) = InnerPacket.networkHeader(frame, count: length)
        else { return nil }
        let transport = Int(offload.checksumStart)
        let kind = offload.segmentation & ~VirtioNetHeader.Segmentation.ecn
        guard transport > network, transport &+ 20 <= length || kind == VirtioNetHeader.Segmentation.udp else {
            return nil
        }
        let nextHeader: UInt8
        if type == EtherType.ipv4 {
            guard length >= network &+ 20, frame.load(fromByteOffset: network, as: UInt8.self) &>> 4 == 4,
                Int(frame.load(fromByteOffset: network, as: UInt8.self) & 0x0f) &* 4 == transport &- network,
                transport &- network >= 20, frame.bigEndian16(at: network &+ 6) & 0x3fff == 0
            else { return nil }
            isIPv6 = false
            isPlain = true
            nextHeader = frame.load(fromByteOffset: network &+ 9, as: UInt8.self)
        } else if type == EtherType.ipv6 {
            guard transport &- network >= 40, length >= network &+ 40,
                frame.load(fromByteOffset: network, as: UInt8.self) &>> 4 == 6
            else { return nil }
            isIPv6 = true
            isPlain = transport &- network == 40
            // Behind extension headers the kind alone says what it is.
            nextHeader =
                isPlain
                ? frame.load(fromByteOffset: network &+ 6, as: UInt8.self)
                : kind == VirtioNetHeader.Segmentation.udp ? IPProtocol.udp : IPProtocol.tcp
        } else {
            return nil
        }
        let header: Int
        switch kind {
        case VirtioNetHeader.Segmentation.tcp4, VirtioNetHeader.Segmentation.tcp6:
            guard nextHeader == IPProtocol.tcp, isIPv6 == (kind == VirtioNetHeader.Segmentation.tcp6) else {
                return nil
            }
            header = Int(frame.load(fromByteOffset: transport &+ 12, as: UInt8.self) &>> 4) &* 4
            guard header >= 20 else { return nil }
            isTCP = true
            sequence = frame.bigEndian32(at: transport &+ 4)
        case VirtioNetHeader.Segmentation.udp:
            guard nextHeader == IPProtocol.udp else { return nil }
            header = 8
            isTCP = false
            sequence = 0
        default: return nil
        }
        headerLength = transport &+ header
        guard headerLength < length, headerLength <= Self.mostHeader else { return nil }
        payloadLength = length &- headerLength
        segmentSize = Int(offload.segmentSize)
        // The length fields of IPv4 and IPv6 are 16 bits.
        guard headerLength &- network &+ min(segmentSize, payloadLength) <= 65_535 else { return nil }
        count = (payloadLength &+ segmentSize &- 1) / segmentSize
        self.network = network
        self.transport = transport
        pseudoSum = InnerPacket.pseudoHeaderSum(frame + network, isIPv6: isIPv6, isTCP: isTCP)
        if isIPv6 {
            identification = 0
            headerSum = 0
        } else {
            identification = frame.bigEndian16(at: network &+ 4)
            let all = InternetChecksum.sum(frame + network, count: transport &- network)
            // Taking a word out of the sum is adding its complement.
            headerSum =
                all &+ UInt64(~frame.bigEndian16(at: network &+ 2)) &+ UInt64(~identification)
                &+ UInt64(~frame.bigEndian16(at: network &+ 10))
        }
    }

    /// Cuts smaller, for a path that carries less. UDP keeps its boundaries.
    /// - Returns: false when the path carries no payload at all behind these headers.
    @inline(__always)
    mutating func fit(_ largestFrame: Int) -> Bool {
        guard isTCP, headerLength &+ segmentSize > largestFrame else { return true }
        guard largestFrame > headerLength else { return false }
        segmentSize = largestFrame &- headerLength
        count = (payloadLength &+ segmentSize &- 1) / segmentSize
        return true
    }

    /// Where a segment's payload stands in the super-frame, from the frame's start.
    @inline(__always)
    func payloadOffset(_ number: Int) -> Int { headerLength &+ number &* segmentSize }

    /// A segment's payload in bytes.
    @inline(__always)
    func payloadCount(_ number: Int) -> Int { min(segmentSize, payloadLength &- number &* segmentSize) }

    /// Where the checksum field stands, from the transport header.
    @inline(__always)
    var checksumOffset: Int { isTCP ? 16 : 6 }

    /// Bytes before the transport header.
    @inline(__always)
    var transportOffset: Int { transport }

    /// Writes a segment's headers.
    /// - Parameters:
    ///   - number: which segment, from 0.
    ///   - template: a copy of the super-frame's headers.
    ///   - output: takes `headerLength` bytes; may not overlap the template.
    @inline(__always)
    func writeHeader(_ number: Int, template: UnsafeRawPointer, to output: UnsafeMutableRawPointer) {
        let length = payloadCount(number)
        output.copyMemory(from: template, byteCount: headerLength)
        let header = output + network
        if isIPv6 {
            header.storeBigEndian(
                UInt16(truncatingIfNeeded: headerLength &- network &- 40 &+ length),
                at: 4
            )
        } else {
            let total = UInt16(truncatingIfNeeded: headerLength &- network &+ length)
            let number = identification &+ UInt16(truncatingIfNeeded: number)
            header.storeBigEndian(total, at: 2)
            header.storeBigEndian(number, at: 4)
            header.storeBigEndian(InternetChecksum.finish(headerSum &+ UInt64(total) &+ UInt64(number)), at: 10)
        }
        let start = output + transport
        let transportLength = headerLength &- transport &+ length
        if isTCP {
            start.storeBigEndian(sequence &+ UInt32(truncatingIfNeeded: number &* segmentSize), at: 4)
            var flags = start.load(fromByteOffset: 13, as: UInt8.self)
            // FIN and PSH belong to the last segment, CWR to the first (RFC 3168, 6.1.2).
            if number &+ 1 < count { flags &= ~0x09 }
            if number > 0 { flags &= ~0x80 }
            start.storeBytes(of: flags, toByteOffset: 13, as: UInt8.self)
        } else {
            start.storeBigEndian(UInt16(truncatingIfNeeded: transportLength), at: 4)
        }
        start.storeBigEndian(InternetChecksum.fold(pseudoSum &+ UInt64(transportLength)), at: checksumOffset)
    }
}
