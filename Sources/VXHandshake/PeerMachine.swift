import VXCrypto
import VXWire

/// What the handshake knows of one peer. `HandshakeMachine` drives it; nothing here sends or decides.
final class PeerMachine {
    let configuration: HandshakePeer
    let mac1Key: [UInt8]
    var endpoint: Endpoint?

    /// Our initiation that waits for its response.
    var pending: PendingInitiation?
    /// When the series of unanswered initiations began (REKEY_ATTEMPT_TIME counts from here).
    var seriesStart: Instant?
    /// When to initiate next, whether again or for the first time.
    var nextInitiation: Instant?
    /// No initiation of ours before this (after a goodbye).
    var notBefore: Instant?

    /// Newest last, at most four that are not retiring.
    var pairs: [KeyPair] = []

    /// The greatest timestamp of a confirmed session.
    var committedTimestamp: TAI64N?
    /// When an initiation was last answered whose session is not confirmed.
    var answeredAt: Instant?
    /// When a stale initiation last made us initiate.
    var staleAnswerAt: Instant?
    var reportedState = PeerState.down

    init(_ configuration: HandshakePeer) {
        self.configuration = configuration
        mac1Key = HandshakeMessage.mac1Key(for: configuration.publicKey)
        endpoint = configuration.endpoint
    }

    var index: PeerIndex { configuration.index }

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
}
