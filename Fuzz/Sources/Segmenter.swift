// With VXDataPlane: FrameSegmenter FrameCoalescer DeliveryBatch InnerPacket InternetChecksum
import VXWire

// A super-frame under any vnet header. Input: how many bytes of payload to add (2 bytes, so that short inputs make the longest
// frames), the largest frame that the path carries (2 bytes; 0 for any), vnet header, frame. What is cut must be of the
// super-frame and say its own length; what a kernel could have made must come back to the byte when it is joined again.

private func segment(_ input: UnsafeRawBufferPointer) {
    guard input.count >= 4 + VirtioNetHeader.length, let base = input.baseAddress else { return }
    let room = SuperFrames.largest - (input.count - 4 - VirtioNetHeader.length)
    let padding = min(Int(base.bigEndian16(at: 0)), max(room, 0))
    let largest = Int(base.bigEndian16(at: 2))
    var frame = TAPFrame(
        offload: VirtioNetHeader(reading: base + 4),
        bytes: [UInt8](input[(4 + VirtioNetHeader.length)...])
            + (0..<padding).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    )
    guard frame.offload.isSuperFrame, var segmenter = SuperFrames.segmenter(frame) else { return }
    precondition(segmenter.headerLength <= FrameSegmenter.mostHeader)
    precondition(segmenter.headerLength + segmenter.payloadLength == frame.bytes.count)
    if largest > 0 {
        guard segmenter.fit(largest) else {
            precondition(segmenter.isTCP && segmenter.headerLength >= largest)
            return
        }
        if segmenter.isTCP { precondition(segmenter.headerLength + segmenter.payloadCount(0) <= largest) }
        frame.offload.segmentSize = UInt16(segmenter.segmentSize)
    }
    checkParts(frame, segmenter)
    guard let expected = expectation(frame, segmenter) else { return }
    let joined = SuperFrames.join(SuperFrames.cut(frame.bytes, segmenter).map { ArrivedFrame(bytes: $0) })
    precondition(joined.map(\.frame) == [expected], "cut and joined again, the super-frame is another")
}

/// Every segment is of the super-frame, and they are all of it.
private func checkParts(_ frame: TAPFrame, _ segmenter: FrameSegmenter) {
    var end = segmenter.headerLength
    for number in 0..<segmenter.count {
        precondition(segmenter.payloadOffset(number) == end)
        end += segmenter.payloadCount(number)
    }
    precondition(end == frame.bytes.count)
    // All of a few, some of many.
    for number in [0, 1, segmenter.count / 2, segmenter.count - 1] where number < segmenter.count {
        let bytes = SuperFrames.cut(frame.bytes, segmenter, number: number)
        guard segmenter.isPlain else { continue }
        guard let packet = SuperFrames.packet(bytes) else { preconditionFailure("a segment is no packet") }
        precondition(packet.end == bytes.count && packet.transport == segmenter.transportOffset)
        precondition(packet.payload == segmenter.headerLength && packet.isTCP == segmenter.isTCP)
        var right = bytes
        SuperFrames.repair(&right, packet: packet, complete: false)
        precondition(right == bytes, "a segment's lengths or checksums are wrong")
    }
}

/// What joining must give: the super-frame with the lengths that a kernel would have written, where the coalescer joins its
/// kind at all.
private func expectation(_ frame: TAPFrame, _ segmenter: FrameSegmenter) -> TAPFrame? {
    let most = segmenter.isTCP ? DeliveryBatch.mostFrames : 64
    guard segmenter.isPlain, (2...most).contains(segmenter.count),
        let packet = SuperFrames.packet(SuperFrames.cut(frame.bytes, segmenter, number: 0)),
        frame.bytes.count - packet.network <= 65_535, packet.isIPv6 || packet.transport - packet.network == 20
    else { return nil }
    // Only ACK, perhaps ECE; and what the last segment may have.
    if packet.isTCP, frame.bytes[packet.transport + 13] & 0xb6 != 0x10 { return nil }
    var expected = frame
    SuperFrames.repair(&expected.bytes, packet: packet, complete: false)
    expected.offload = VirtioNetHeader(
        checksumStart: UInt16(packet.transport),
        checksumOffset: UInt16(packet.checksumOffset)
    )
    expected.offload.segmentation = frame.offload.segmentation & ~VirtioNetHeader.Segmentation.ecn
    expected.offload.segmentSize = UInt16(segmenter.segmentSize)
    expected.offload.headerLength = UInt16(packet.payload)
    return expected
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    segment(UnsafeRawBufferPointer(start: data, count: count))
    return 0
}
