/// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian, with times in nanoseconds.
public struct PcapngWriter: Sendable {
    /// What the bytes of an interface's packets are (the LINKTYPE registry of tcpdump.org).
    public enum LinkType: UInt16, Sendable {
        /// Ethernet frames without FCS.
        case ethernet = 1
        /// IPv4 or IPv6 packets, told apart by their first four bits.
        case raw = 101
    }

    /// A packet's place in the file, beside its bytes.
    public struct Packet: Sendable {
        /// The number of its interface.
        public var interface: Int
        /// Nanoseconds since 1970, UTC.
        public var time: UInt64
        /// Bytes of the whole packet.
        public var length: Int
        /// It left, else it came.
        public var isSent: Bool
        /// What is said of it.
        public var comment: String

        /// From its parts.
        public init(interface: Int, time: UInt64, length: Int, isSent: Bool, comment: String) {
            self.interface = interface
            self.time = time
            self.length = length
            self.isSent = isSent
            self.comment = comment
        }
    }

    private enum Option {
        static let comment: UInt16 = 1
        static let application: UInt16 = 4
        static let interfaceName: UInt16 = 2
        static let interfaceDescription: UInt16 = 3
        static let timeResolution: UInt16 = 9
        static let filter: UInt16 = 11
        static let packetFlags: UInt16 = 2
        static let startTime: UInt16 = 2
        static let endTime: UInt16 = 3
        static let received: UInt16 = 4
        static let dropped: UInt16 = 5
        static let delivered: UInt16 = 8
    }

    /// The blocks so far.
    public private(set) var bytes: [UInt8] = []

    /// Nothing yet.
    public init() {}

    /// Takes the blocks away.
    public mutating func take() -> [UInt8] {
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes
    }

    /// The section header, with which every file begins.
    /// - Parameter comment: what is said of the whole of it.
    public mutating func addSection(comment: String) {
        add(PcapngBlock.Kind.section) { writer in
            writer.add(0x1a2b_3c4d as UInt32)
            // Version 1.0, and a length that is not told.
            writer.add(1 as UInt16)
            writer.add(0 as UInt16)
            writer.add(UInt64.max)
            writer.add(Option.application, "vxseal")
            writer.add(Option.comment, comment)
            writer.endOptions()
        }
    }

    /// An interface; they are numbered from 0 in the order they are added.
    /// - Parameters:
    ///   - linkType: what its packets are.
    ///   - snap: how many bytes of each are kept.
    ///   - name: as the system calls it.
    ///   - description: what it is.
    ///   - filter: what was asked for.
    public mutating func addInterface(
        _ linkType: LinkType,
        snap: Int,
        name: String,
        description: String,
        filter: String
    ) {
        add(PcapngBlock.Kind.interface) { writer in
            writer.add(linkType.rawValue)
            writer.add(0 as UInt16)
            writer.add(UInt32(clamping: snap))
            writer.add(Option.interfaceName, name)
            writer.add(Option.interfaceDescription, description)
            // A string behind a byte 0.
            writer.add(Option.filter, [0] + Array(filter.utf8))
            // 10^-9 s.
            writer.add(Option.timeResolution, [9])
            writer.endOptions()
        }
    }

    /// A packet.
    /// - Parameters:
    ///   - packet: what is told of it.
    ///   - header: its first bytes.
    ///   - body: the bytes behind them, as far as they are kept.
    public mutating func add(_ packet: Packet, header: [UInt8] = [], body: UnsafeRawBufferPointer) {
        add(PcapngBlock.Kind.packet) { writer in
            let count = header.count + body.count
            writer.add(UInt32(clamping: packet.interface))
            writer.addTime(packet.time)
            writer.add(UInt32(clamping: count))
            writer.add(UInt32(clamping: max(packet.length, count)))
            writer.bytes.append(contentsOf: header)
            unsafe writer.bytes.append(contentsOf: body)
            writer.pad()
            // Bits 0 and 1: 1 for inbound, 2 for outbound.
            writer.add(Option.packetFlags, Self.littleEndian(packet.isSent ? 2 : 1 as UInt32))
            writer.add(Option.comment, packet.comment)
            writer.endOptions()
        }
    }

    /// What became of an interface's packets.
    /// - Parameters:
    ///   - interface: its number.
    ///   - start: when the capture began, in nanoseconds since 1970.
    ///   - end: up to when this counts.
    ///   - delivered: packets that are in the file.
    ///   - dropped: packets that were wanted and lost, since they were not read in time.
    public mutating func addStatistics(
        interface: Int,
        start: UInt64,
        end: UInt64,
        delivered: UInt64,
        dropped: UInt64
    ) {
        add(PcapngBlock.Kind.statistics) { writer in
            writer.add(UInt32(clamping: interface))
            writer.addTime(end)
            for (option, time) in [(Option.startTime, start), (Option.endTime, end)] {
                let halves = Self.littleEndian(UInt32(time >> 32)) + Self.littleEndian(UInt32(truncatingIfNeeded: time))
                writer.add(option, halves)
            }
            writer.add(Option.received, Self.littleEndian(delivered + dropped))
            writer.add(Option.dropped, Self.littleEndian(dropped))
            writer.add(Option.delivered, Self.littleEndian(delivered))
            writer.endOptions()
        }
    }

    private mutating func add(_ kind: UInt32, _ body: (inout PcapngWriter) -> Void) {
        let start = bytes.count
        add(kind)
        add(0 as UInt32)
        body(&self)
        let length = Self.littleEndian(UInt32(bytes.count - start + 4))
        bytes.replaceSubrange(start + 4..<start + 8, with: length)
        bytes.append(contentsOf: length)
    }

    private mutating func add(_ number: some FixedWidthInteger) { bytes.append(contentsOf: Self.littleEndian(number)) }

    private mutating func addTime(_ time: UInt64) {
        add(UInt32(time >> 32))
        add(UInt32(truncatingIfNeeded: time))
    }

    private mutating func add(_ option: UInt16, _ text: String) { add(option, Array(text.utf8)) }

    private mutating func add(_ option: UInt16, _ value: [UInt8]) {
        let value = value.prefix(Int(UInt16.max))
        add(option)
        add(UInt16(value.count))
        bytes.append(contentsOf: value)
        pad()
    }

    private mutating func endOptions() { add(0 as UInt32) }

    /// Blocks are whole numbers of 32-bit words.
    private mutating func pad() { while bytes.count % 4 != 0 { bytes.append(0) } }

    private static func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }
}
