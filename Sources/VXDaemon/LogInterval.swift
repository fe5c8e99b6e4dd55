import VXWire

/// Lets what may happen a thousand times a second be said once a minute: whoever can send a datagram, or fill a disk, must
/// not be able to fill the log.
struct LogInterval<Key: Hashable & Sendable>: Sendable {
    /// Between two lines about the same thing.
    static var length: Interval { .seconds(60) }

    private var last: [Key: Instant] = [:]

    /// Whether it may be said now; if so, it counts as said.
    mutating func allows(_ key: Key, now: Instant) -> Bool {
        if let last = last[key], now.since(last) < Self.length { return false }
        last[key] = now
        return true
    }
}
