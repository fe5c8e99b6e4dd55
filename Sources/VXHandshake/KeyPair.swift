import VXWire

/// One key pair of a peer, on its way through the lanes:
///
///     installing ──installed──▶ live ──retire──▶ retiring ──retired──▶ gone
///
/// A responder's pair is live before it is confirmed: it receives, and is not sent under.
struct KeyPair {
    enum Stage {
        /// Not every lane holds it yet. A responder's response waits here.
        case installing(response: [UInt8]?)
        case live
        case retiring
    }

    let localIndex: ReceiverIndex
    let isInitiator: Bool
    let createdAt: Instant
    /// Where the peer's handshake message came from.
    let endpoint: Endpoint
    /// The initiation's timestamp, committed when the pair is confirmed; a responder's only.
    let timestamp: TAI64N?
    /// How long the handshake took; the initiator's only.
    let roundTrip: Interval?
    /// The keys it came from.
    let credentials: Credentials
    var stage: Stage
    /// The peer is known to hold the keys.
    var isConfirmed = false
    /// Since when a newer pair is sent under.
    var supersededAt: Instant?
    /// The end of a goodbye's linger.
    var endsAt: Instant?
    var activity = PairActivity()
    /// When the initiator says again that it holds the keys, until it hears anything under them.
    var announcement: Repetition?
    /// Since when the peer owes an answer to records.
    var unansweredSince: Instant?
    var nextReport: Instant?
    /// Reports that were sent since a newer pair took over.
    var closingReports = 0

    var isLive: Bool {
        switch stage {
        case .live: true
        case .installing, .retiring: false
        }
    }

    var isRetiring: Bool {
        switch stage {
        case .retiring: true
        case .installing, .live: false
        }
    }

    /// Whether frames may be sealed under it.
    func canSend(at now: Instant) -> Bool {
        isLive && (isInitiator || isConfirmed) && endsAt == nil
            && now.since(createdAt) < HandshakeConstants.rejectAfterTime
    }
}
