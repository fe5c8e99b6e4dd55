/// A moment on CLOCK_BOOTTIME: nanoseconds since the machine started, suspended time included. Pure code is handed one;
/// it never reads a clock.
public struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since boot.
    public let nanoseconds: UInt64

    /// From nanoseconds since boot.
    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Earlier is less.
    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The moment `interval` later.
    @inlinable
    public static func + (left: Instant, interval: Interval) -> Instant {
        Instant(nanoseconds: left.nanoseconds &+ interval.nanoseconds)
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    @inlinable
    public func since(_ earlier: Instant) -> Interval {
        Interval(nanoseconds: nanoseconds > earlier.nanoseconds ? nanoseconds &- earlier.nanoseconds : 0)
    }
}

/// A length of time, never negative, in nanoseconds. (`Duration` carries 128-bit attoseconds, which the packet path
/// would pay for.)
public struct Interval: Hashable, Comparable, Sendable {
    /// The length in nanoseconds.
    public let nanoseconds: UInt64

    /// From nanoseconds.
    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// From whole seconds.
    @inlinable
    public static func seconds(_ count: UInt64) -> Interval { Interval(nanoseconds: count &* 1_000_000_000) }

    /// From whole milliseconds.
    @inlinable
    public static func milliseconds(_ count: UInt64) -> Interval { Interval(nanoseconds: count &* 1_000_000) }

    /// Both lengths, one after the other.
    @inlinable
    public static func + (left: Interval, right: Interval) -> Interval {
        Interval(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }

    /// Shorter is less.
    @inlinable
    public static func < (left: Interval, right: Interval) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The length in seconds, for people.
    public var seconds: Double { Double(nanoseconds) / 1e9 }
}
