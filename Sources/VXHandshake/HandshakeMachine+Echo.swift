public import VXWire

/// Echo requests (protocol.md, 5): the round trip that `status` shows, and `vxseal ping`.
struct EchoState {
    /// Requests of one peer that are answered a second, and how many at once; more are dropped.
    private var answers = RateBudget(perSecond: 1000, atOnce: 200)
    private(set) var sequence: UInt32 = 0
    /// The measurement that waits for its answer.
    private var outstanding: (sequence: UInt32, sentAt: Instant)?

    mutating func start(now: Instant) -> UInt32 {
        sequence &+= 1
        outstanding = (sequence, now)
        return sequence
    }

    /// The round trip, for an answer to the newest request.
    mutating func finish(_ sequence: UInt32, now: Instant) -> Interval? {
        guard let outstanding, outstanding.sequence == sequence else { return nil }
        self.outstanding = nil
        return now.since(outstanding.sentAt)
    }

    mutating func mayAnswer(now: Instant) -> Bool { answers.take(now: now) }
}

extension HandshakeMachine {
    /// The identifier of this node's own measurements; `ping` takes others.
    static var measurement: UInt32 { 0 }

    /// Sends an echo request to a peer; its answer comes as `echoed`.
    /// - Parameters:
    ///   - identifier: not zero.
    ///   - padding: bytes behind the fixed ones, which come back.
    /// - Returns: false when there is no session to ask in.
    public mutating func ping(
        _ index: PeerIndex,
        identifier: UInt32,
        sequence: UInt32,
        padding: Int,
        now: Instant
    ) -> Bool {
        precondition(identifier != Self.measurement, "zero is the machine's own")
        guard let peer = peer(index), peer.sendingPair(at: now) != nil else { return false }
        let echo = ControlMessage.Echo(
            identifier: identifier,
            sequence: sequence,
            sentAt: now.nanoseconds,
            opaque: Array(repeating: 0, count: padding)
        )
        act(.control(index, ControlMessage.echoRequest(echo).bytes))
        return true
    }

    /// Asks a peer what it would do with a frame; its answer comes as `traced`.
    /// - Returns: false when there is no session to ask in.
    public mutating func trace(_ request: FrameTrace.Request, with index: PeerIndex, now: Instant) -> Bool {
        guard let peer = peer(index), peer.sendingPair(at: now) != nil else { return false }
        act(.control(index, ControlMessage.traceRequest(request).bytes))
        return true
    }

    /// Answers a peer's question.
    public mutating func answer(_ reply: FrameTrace.Reply, to index: PeerIndex) {
        act(.control(index, ControlMessage.traceReply(reply).bytes))
    }

    mutating func receiveTraceRequest(_ request: FrameTrace.Request, peer: PeerMachine, now: Instant) {
        guard peer.echo.mayAnswer(now: now) else { return drop(.echoLimited) }
        act(.judge(peer.index, request))
    }

    mutating func measureRoundTrip(to peer: PeerMachine, now: Instant) {
        let echo = ControlMessage.Echo(
            identifier: Self.measurement,
            sequence: peer.echo.start(now: now),
            sentAt: now.nanoseconds
        )
        act(.control(peer.index, ControlMessage.echoRequest(echo).bytes))
    }

    mutating func receiveEchoRequest(_ echo: ControlMessage.Echo, peer: PeerMachine, now: Instant) {
        guard peer.echo.mayAnswer(now: now) else { return drop(.echoLimited) }
        act(.control(peer.index, ControlMessage.echoReply(echo).bytes))
    }

    mutating func receiveEchoReply(_ echo: ControlMessage.Echo, peer: PeerMachine, now: Instant) {
        guard echo.identifier == Self.measurement else {
            return act(.echoed(peer.index, identifier: echo.identifier, sequence: echo.sequence))
        }
        // A late answer, or one to nothing, says nothing.
        if let roundTrip = peer.echo.finish(echo.sequence, now: now) { act(.roundTrip(peer.index, roundTrip)) }
    }
}
