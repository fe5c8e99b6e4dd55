public import VXWire

/// Who waits for the answer to which echo or trace request. The handshake thread's.
struct EchoDesk {
    /// More at once are refused.
    static let most = 1024

    private struct Asker {
        let peer: PeerIndex
        let sentAt: Instant
        let deadline: Instant
        let answer: @Sendable (PingOutcome) -> Void
    }

    /// Requests of this process carry it; zero is the machine's own.
    let identifier = UInt32.random(in: 1 ... .max)
    private var sequence: UInt32 = 0
    private var askers: [UInt32: Asker] = [:]

    /// - Returns: the request's sequence number; nil when too many wait.
    mutating func note(
        _ peer: PeerIndex,
        now: Instant,
        timeout: Interval,
        answer: @escaping @Sendable (PingOutcome) -> Void
    ) -> UInt32? {
        guard askers.count < Self.most else { return nil }
        sequence &+= 1
        askers[sequence] = Asker(peer: peer, sentAt: now, deadline: now + timeout, answer: answer)
        return sequence
    }

    mutating func answered(_ sequence: UInt32, by peer: PeerIndex, now: Instant) {
        guard let asker = askers[sequence], asker.peer == peer else { return }
        askers[sequence] = nil
        asker.answer(.answered(now.since(asker.sentAt)))
    }

    mutating func judged(_ reply: FrameTrace.Reply, by peer: PeerIndex, now: Instant) {
        guard let asker = askers[reply.identifier], asker.peer == peer else { return }
        askers[reply.identifier] = nil
        asker.answer(.judged(now.since(asker.sentAt), reply))
    }

    mutating func giveUp(_ sequence: UInt32, with outcome: PingOutcome) {
        askers.removeValue(forKey: sequence)?.answer(outcome)
    }

    /// Tells those whose time is over.
    mutating func expire(now: Instant) {
        guard !askers.isEmpty else { return }
        for (sequence, asker) in askers where now >= asker.deadline { giveUp(sequence, with: .lost) }
    }

    /// When the next one's time is over.
    var nextDeadline: Instant? { askers.values.map(\.deadline).min() }

    /// The thread ends.
    mutating func close() { for sequence in askers.keys { giveUp(sequence, with: .lost) } }
}

/// What became of an echo or trace request.
public enum PingOutcome: Sendable {
    /// The answer came, after so long.
    case answered(Interval)
    /// The peer said what would become of the frame, after so long.
    case judged(Interval, FrameTrace.Reply)
    /// None came in time.
    case lost
    /// There is no session to ask in.
    case noSession
    /// Too many requests wait for their answers.
    case busy
}

/// What a peer is asked over its session.
public enum Inquiry: Sendable {
    /// For an echo, with so many bytes that go along in both directions.
    case echo(padding: Int)
    /// What it would do with a frame of this node in a network.
    case trace(frame: [UInt8], VNI)
}
