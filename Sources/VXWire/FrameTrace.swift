/// Asks a peer what it would do with a frame that came from the asker, and the answer (control messages 0x0d and 0x0e). The peer
/// neither passes the frame on nor learns from it.
public enum FrameTrace {
    /// Most bytes of frame in a request: headers, and with them it fits every path.
    public static var mostFrame: Int { 1000 }
    /// Most bytes of a reason in a reply.
    public static var mostReason: Int { 64 }

    /// Body: identifier (4), VNI (3), reserved 0 (1), Ethernet frame.
    public struct Request: Equatable, Sendable {
        /// Tells requests apart; the reply has it too.
        public let identifier: UInt32
        /// The frame's network.
        public let vni: VNI
        /// An Ethernet frame, or the first bytes of one.
        public let frame: [UInt8]

        /// From its parts.
        public init(identifier: UInt32, vni: VNI, frame: [UInt8]) {
            self.identifier = identifier
            self.vni = vni
            self.frame = frame
        }
    }

    /// What becomes of a frame.
    public enum Fate: UInt8, Sendable {
        /// The network's device takes it.
        case device = 0
        /// It is passed on to peers of the other side (`relay`).
        case relayed = 1
        /// It is dropped.
        case dropped = 2
    }

    /// Body: identifier (4), fate (1), reserved 0 (3), nanoseconds (8), reason in ASCII letters and digits.
    public struct Reply: Equatable, Sendable {
        /// The request's.
        public let identifier: UInt32
        /// What would become of the frame.
        public let fate: Fate
        /// How long the peer took, in nanoseconds by its own clock.
        public let nanoseconds: UInt64
        /// The drop reason's name; empty unless dropped. Of a newer version it may be one that this one does not know.
        public let reason: String

        /// From its parts.
        public init(identifier: UInt32, fate: Fate, nanoseconds: UInt64, reason: String) {
            self.identifier = identifier
            self.fate = fate
            self.nanoseconds = nanoseconds
            self.reason = reason
        }
    }
}

extension FrameTrace.Request {
    init?(_ content: RawSpan) {
        guard (8...8 + FrameTrace.mostFrame).contains(content.byteCount), content.readUInt8(at: 7) == 0,
            let vni = VNI(content.readUInt32(at: 4) >> 8)
        else { return nil }
        self.init(
            identifier: content.readUInt32(at: 0),
            vni: vni,
            frame: content.extracting(droppingFirst: 8).copied
        )
    }

    var body: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: identifier)
        bytes.append(bigEndian: vni.rawValue << 8)
        return bytes + frame
    }
}

extension FrameTrace.Reply {
    init?(_ content: RawSpan) {
        guard (16...16 + FrameTrace.mostReason).contains(content.byteCount),
            let fate = FrameTrace.Fate(rawValue: content.readUInt8(at: 4)),
            content.readUInt32(at: 4) & 0xff_ffff == 0
        else { return nil }
        let letters = content.extracting(droppingFirst: 16).copied
        // It is printed: nothing but letters and digits gets that far.
        let isName = letters.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || (0x30...0x39).contains(byte)
        }
        guard isName, letters.isEmpty == (fate != .dropped) else { return nil }
        self.init(
            identifier: content.readUInt32(at: 0),
            fate: fate,
            nanoseconds: content.readUInt64(at: 8),
            reason: String(decoding: letters, as: UTF8.self)
        )
    }

    var body: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: identifier)
        bytes += [fate.rawValue, 0, 0, 0]
        bytes.append(bigEndian: nanoseconds)
        return bytes + reason.utf8.prefix(FrameTrace.mostReason)
    }
}
