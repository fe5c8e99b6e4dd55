import VXWire

/// So many events a second, and so many at once: kept as the time at which all of them are allowed again (ITU-T I.371, annex A).
struct RateBudget {
    private let interval: UInt64
    private let burst: UInt64
    private var full: UInt64 = 0

    init(perSecond: UInt64, atOnce: UInt64) {
        interval = 1_000_000_000 / perSecond
        burst = interval * atOnce
    }

    mutating func take(now: Instant) -> Bool {
        let next = max(full, now.nanoseconds) + interval
        guard next - now.nanoseconds <= burst else { return false }
        full = next
        return true
    }
}
