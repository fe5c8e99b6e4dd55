import VXWire

/// A peer's last round trips, as measured within its session: every second after a handshake and every ten later, so that
/// they span the last minutes. Exact, in 4 bytes each: a histogram of as few values would be larger and say less.
public struct RoundTrips: Sendable {
    static let most = 32

    private var microseconds: [UInt32] = []
    private var next = 0

    init() {}

    mutating func note(_ roundTrip: Interval) {
        let value = UInt32(clamping: roundTrip.nanoseconds / 1000)
        guard microseconds.count == Self.most else { return microseconds.append(value) }
        microseconds[next] = value
        next = (next + 1) % Self.most
    }

    /// Of all that are kept, in microseconds; nil without any.
    public var summary: (least: UInt64, median: UInt64, p99: UInt64, count: Int)? {
        guard !microseconds.isEmpty else { return nil }
        let sorted = microseconds.sorted()
        func rank(_ percent: Int) -> UInt64 { UInt64(sorted[(sorted.count * percent + 99) / 100 - 1]) }
        return (UInt64(sorted[0]), rank(50), rank(99), sorted.count)
    }
}
