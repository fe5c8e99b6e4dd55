import VXWire

/// A TCP super-frame over IPv4 with partial checksums, as a kernel hands it to a device with segmentation offload.
struct SuperFrame {
    private static let headers = 54
    /// MTU 1414 less the IPv4 and TCP headers.
    private static let segment = 1374
    private static let segments = 46
    /// Its length.
    let count = headers + segments * segment
    /// What the kernel says of it.
    let offload: VirtioNetHeader
    private let bytes: [UInt8]

    init() {
        var offload = VirtioNetHeader(checksumStart: 34, checksumOffset: 16)
        offload.segmentation = VirtioNetHeader.Segmentation.tcp4
        offload.headerLength = UInt16(Self.headers)
        offload.segmentSize = UInt16(Self.segment)
        self.offload = offload
        var bytes = [UInt8](repeating: 0x5a, count: count)
        let length = count - 14
        let ethernet: [UInt8] = [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0x08, 0x00]
        let ip: [UInt8] = [
            0x45, 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 98, 0, 1, 10, 98, 0, 2,
        ]
        // Ports, sequence, acknowledgement, five words, ACK, window; the checksum is for the receiver.
        let tcp: [UInt8] = [0x80, 0, 0x14, 0x51, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]
        bytes.replaceSubrange(0..<Self.headers, with: ethernet + ip + tcp)
        self.bytes = bytes
    }

    /// Writes it; the lane uses it up.
    func write(to start: UnsafeMutableRawPointer, destination: UInt64) {
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            start.copyMemory(from: base, byteCount: count)
        }
        start.storeAddress(destination, at: 0)
    }
}
