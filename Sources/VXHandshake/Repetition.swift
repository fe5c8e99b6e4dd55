import VXWire

/// When something that waits for its answer is said again: after 1, 2, 4 ... 60 s (protocol.md, 6).
struct Repetition {
    private var interval = HandshakeConstants.firstRepetition
    private(set) var due: Instant

    /// Due at once.
    init(now: Instant) { due = now }

    /// Whether it is to be said now; the next time is later then.
    mutating func isDue(_ now: Instant) -> Bool {
        guard now >= due else { return false }
        due = now + interval
        interval = min(interval + interval, HandshakeConstants.lastRepetition)
        return true
    }
}
