public import VXWire

/// What a datagram must pass while more handshake messages arrive than can be worked on, before anything is computed over
/// it: a look at its first bytes and its source.
///
/// Answers to this node's own initiations and initiations from addresses where a peer is known to be always pass, as many
/// as peers can mean: a flood, from wherever, costs a configured pair no more than the round trip for the cookie.
/// Everybody else shares a budget, so that the flood costs a fixed part of a core however fast it is.
struct FloodGate {
    /// Messages of everybody else that are looked into, a second: with an initiation's mac1 and a cookie of 5 us together
    /// 2.5 % of a core. Those that show a mac2 have a budget beside those that show none.
    private static let strangersPerSecond: UInt64 = 5000
    /// How often the peers' addresses are gathered anew.
    private static let gatheringTime = Interval.seconds(1)

    private var known: Set<IPAddress> = []
    private var gatheredAt: Instant?
    /// A tenth of a second's messages at once.
    private var strangers = RateBudget(perSecond: strangersPerSecond, atOnce: strangersPerSecond / 10)
    private var claimants = RateBudget(perSecond: strangersPerSecond, atOnce: strangersPerSecond / 10)
    private let knownRate = PrefixRate()
    private let knownClaimantRate = PrefixRate()

    /// Whether the peers' addresses are to be gathered anew.
    func isStale(now: Instant) -> Bool { gatheredAt.map { now.since($0) >= Self.gatheringTime } ?? true }

    mutating func gather(_ addresses: some Sequence<IPAddress>, now: Instant) {
        known = Set(addresses)
        gatheredAt = now
    }

    /// Whether an initiation is looked into.
    mutating func admits(_ source: IPAddress, showsMac2: Bool, now: Instant) -> Bool {
        if known.contains(source), (showsMac2 ? knownClaimantRate : knownRate).admits(source, now: now) { return true }
        return showsMac2 ? claimants.take(now: now) : strangers.take(now: now)
    }

    /// Whether something that is no handshake message, and is counted as what it is, is looked into.
    mutating func admitsStranger(now: Instant) -> Bool { strangers.take(now: now) }
}

extension HandshakeMachine {
    /// Under load: whether a datagram is worth `handleDatagram`; one that is not has been counted. Nothing is computed over
    /// its contents and nothing allocated.
    /// - Parameters:
    ///   - datagram: any bytes.
    ///   - source: where it came from.
    ///   - now: the time.
    public mutating func admitsUnderLoad(_ datagram: RawSpan, from source: Endpoint, now: Instant)
        -> Bool
    {
        if gate.isStale(now: now) { gate.gather(peers.lazy.compactMap { $0.endpoint?.address }, now: now) }
        let type = datagram.byteCount > 0 ? MessageType(rawValue: datagram.readUInt8(at: 0)) : nil
        guard let type, type != .transport, datagram.byteCount == type.size else {
            return gate.admitsStranger(now: now) || refuse(.rateLimited)
        }
        switch type {
        case .initiation:
            let mac2 = type.size - HandshakeMessage.macLength
            let showsMac2 = datagram.readUInt64(at: mac2) | datagram.readUInt64(at: mac2 + 8) != 0
            return gate.admits(source.address, showsMac2: showsMac2, now: now) || refuse(.rateLimited)
        case .response:
            return isPending(ReceiverIndex(datagram.readUInt32(at: 8))) || refuse(.unexpectedResponse)
        case .cookieReply:
            return isPending(ReceiverIndex(datagram.readUInt32(at: 4))) || refuse(.invalidCookie)
        case .transport:
            return false
        }
    }

    private func isPending(_ index: ReceiverIndex) -> Bool { owner(of: index)?.pending?.localIndex == index }

    private mutating func refuse(_ reason: DropReason) -> Bool {
        drop(reason)
        return false
    }
}
