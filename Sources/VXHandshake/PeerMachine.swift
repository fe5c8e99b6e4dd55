import VXCrypto
import VXWire

/// What the handshake knows of one peer. `HandshakeMachine` drives it; nothing here sends or decides.
final class PeerMachine {
    var configuration: HandshakePeer
    var endpoint: Endpoint?
    /// What rotations changed; what of it must survive is on disk.
    var record: PeerRecord

    /// Our initiation that waits for its response.
    var pending: PendingInitiation?
    /// When the series of unanswered initiations began (REKEY_ATTEMPT_TIME counts from here).
    var seriesStart: Instant?
    /// Initiations of this series that were not answered.
    var failures = 0
    /// REKEY_ATTEMPT_TIME has passed, and no traffic has asked for it since: it is called less often.
    var isUnreachable = false
    /// When to initiate next, whether again or for the first time.
    var nextInitiation: Instant?
    /// No initiation of ours before this (after a goodbye).
    var notBefore: Instant?
    /// For mac2 of the next initiation.
    var cookie: ReceivedCookie?

    /// Newest last, at most four that are not retiring.
    var pairs: [KeyPair] = []

    /// The greatest timestamp of a confirmed session.
    var committedTimestamp: TAI64N?
    /// When an initiation was last answered whose session is not confirmed.
    var answeredAt: Instant?
    /// When a stale initiation last made us initiate.
    var staleAnswerAt: Instant?
    var reportedState = PeerState.down
    /// The configuration no longer has it: what the lanes still say of its pairs is of no use.
    var isRemoved = false

    /// From which port each lane is sent to it.
    var ports: LanePortChoice
    var toldPorts: [LanePort]?

    var pathMTU: PathMTUSearch?
    /// What the lanes were last told.
    var toldPathMTU: Int?
    /// What the interface towards the peer carries, once known.
    var interfaceMTU: Int?
    /// How much had been sent when the last probes were decided on.
    var probedCounter: UInt64 = 0

    var echo = EchoState()

    /// When this node's successor statement is due again; nil when the peer has acknowledged it.
    var announcement: Repetition?
    /// The rotation of the preshared key that is under way.
    var pskExchange: PSKExchange?

    init(_ configuration: HandshakePeer, record: PeerRecord, lanes: UInt8) {
        self.configuration = configuration
        ports = LanePortChoice(lanes: lanes, isFixed: configuration.fixedPorts)
        var record = record
        // Another key in the file starts over (protocol.md, 6).
        if record.psk?.origin != configuration.presharedKey.fingerprint { record.psk = nil }
        self.record = record
        endpoint = configuration.endpoint
    }

    var index: PeerIndex { configuration.index }
    var psk: PSKRecord { record.psk ?? PSKRecord(configured: configuration.presharedKey) }

    /// The pair that is sent under: the newest that may be.
    func sendingPair(at now: Instant) -> Int? {
        pairs.lastIndex { $0.canSend(at: now) }
    }

    func pair(_ index: ReceiverIndex) -> Int? {
        pairs.firstIndex { $0.localIndex == index }
    }
}

/// An initiation on the wire.
struct PendingInitiation: ~Copyable {
    let handshake: InitiatorHandshake
    let localIndex: ReceiverIndex
    let sentAt: Instant
    let credentials: Credentials
    /// What a cookie reply to it is bound to.
    let mac1: [UInt8]
    /// The datagram, until it was sent a second time.
    var message: [UInt8]?
}

/// Which keys a handshake runs with.
struct Credentials {
    /// This node's key.
    let local: StaticKeyPair
    /// The peer's key.
    let remote: PublicKey
    /// The generation of the preshared key.
    let generation: UInt8
    let psk: PresharedKey
}
