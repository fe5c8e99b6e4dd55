/// The first byte of a control record's body (protocol.md, 5).
public enum ControlType: UInt8, CaseIterable, Sendable {
    /// Asks for an echo reply.
    case echoRequest = 0x01
    /// Answers an echo request.
    case echoReply = 0x02
    /// Tries an IP packet length.
    case pathMTUProbe = 0x03
    /// Says that a probe arrived.
    case pathMTUAcknowledgement = 0x04
    /// Ends the pair and older ones.
    case goodbye = 0x05
    /// Names the sender's next static key.
    case successor = 0x06
    /// Says that a successor is stored.
    case successorAcknowledgement = 0x07
    /// Half of a new pre-shared key.
    case pskProposal = 0x08
    /// Proof of a new pre-shared key.
    case pskConfirmation = 0x09
    /// What arrived, per lane.
    case report = 0x0a
    /// Which source ports the receiver shall use.
    case ports = 0x0b
    /// The sender's name.
    case hello = 0x0c
    /// Asks what would become of a frame.
    case traceRequest = 0x0d
    /// Answers that.
    case traceReply = 0x0e
}

/// A control message that this version acts on. Bytes behind a goodbye's or ports' fields are ignored, so that a later
/// version may add to them.
public enum ControlMessage: Equatable, Sendable {
    /// Asks for the same bytes back.
    case echoRequest(Echo)
    /// The bytes of a request.
    case echoReply(Echo)
    /// Tries an IP packet of `size` bytes; padding makes the datagram that long.
    case pathMTUProbe(size: UInt16, identifier: UInt32)
    /// The probe arrived.
    case pathMTUAcknowledgement(size: UInt16, identifier: UInt32)
    /// The sender's next static key: key (32), sequence (8), proof (32).
    case successor([UInt8])
    /// BLAKE2b-256 of a successor's body.
    case successorAcknowledgement([UInt8])
    /// A step of a preshared key's rotation, of the generation it leads to, with 32 random bytes (zero in `ask`).
    case psk(PSKStep, UInt8, [UInt8])
    /// Proof (32 bytes) that the sender has stored the generation's key.
    case pskConfirmation(generation: UInt8, code: [UInt8])
    /// The sender ends the pair; the reason is for people.
    case goodbye(reason: UInt8)
    /// What the sender received on the pair carrying this, lane 0 first; 1 to 16 lanes.
    case report([LaneReport])
    /// Source ports of the sender.
    case ports(PortUse)
    /// The sender's node name, at most 64 bytes of UTF-8. Shown, never trusted.
    case hello(name: String)
    /// Asks what the receiver would do with a frame.
    case traceRequest(FrameTrace.Request)
    /// What it would do.
    case traceReply(FrameTrace.Reply)

    /// Body of an echo request and of its reply.
    public struct Echo: Equatable, Sendable {
        /// Tells askers apart.
        public let identifier: UInt32
        /// Counts one asker's requests.
        public let sequence: UInt32
        /// When the asker sent it, in nanoseconds of a clock only the asker knows.
        public let sentAt: UInt64
        /// Makes the message as long as wanted.
        public let opaque: [UInt8]

        /// From its parts.
        public init(identifier: UInt32, sequence: UInt32, sentAt: UInt64, opaque: [UInt8] = []) {
            self.identifier = identifier
            self.sequence = sequence
            self.sentAt = sentAt
            self.opaque = opaque
        }
    }

    /// One lane's line of a report.
    public struct LaneReport: Equatable, Sendable {
        /// The highest counter that authenticated; 0 also when none did.
        public let highestCounter: UInt64
        /// How many datagrams authenticated.
        public let received: UInt64

        /// From its parts.
        public init(highestCounter: UInt64, received: UInt64) {
            self.highestCounter = highestCounter
            self.received = received
        }

        /// How many of the datagrams up to the highest did not arrive. Zero where the peer's numbers can't be.
        public var lost: UInt64 {
            received == 0 || highestCounter < received ? 0 : highestCounter - received + 1
        }
    }

    /// Source ports that lanes are sent from (protocol.md, 2a).
    public enum PortUse: UInt8, Sendable {
        /// Each lane above 0 has a port of its own.
        case lanes = 0
        /// Everything comes from the listen port.
        case fixed = 1
    }

    /// What a preshared key's message says; its first byte after the type.
    public enum PSKStep: UInt8, Sendable {
        /// The side with the greater static key asks the other to propose.
        case ask = 0
        /// n_p.
        case propose = 1
        /// n_a.
        case answer = 2
    }

    /// Most bytes of a name in a hello.
    public static var mostNameBytes: Int { 64 }
    /// Most lanes in a report.
    public static var mostLanes: Int { 16 }

    /// The type byte it travels under.
    public var type: ControlType {
        switch self {
        case .echoRequest: .echoRequest
        case .echoReply: .echoReply
        case .pathMTUProbe: .pathMTUProbe
        case .pathMTUAcknowledgement: .pathMTUAcknowledgement
        case .successor: .successor
        case .successorAcknowledgement: .successorAcknowledgement
        case .psk: .pskProposal
        case .pskConfirmation: .pskConfirmation
        case .goodbye: .goodbye
        case .report: .report
        case .ports: .ports
        case .hello: .hello
        case .traceRequest: .traceRequest
        case .traceReply: .traceReply
        }
    }
}
