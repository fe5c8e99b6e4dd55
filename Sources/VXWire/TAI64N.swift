/// A TAI64N label (cr.yp.to/libtai/tai64.html): 2^62 + 10 + Unix seconds, then nanoseconds; twelve bytes big-endian on
/// the wire. Compared only with labels of the same sender.
public struct TAI64N: Hashable, Comparable, Sendable {
    /// Seconds, with the 2^62 of the format.
    public let seconds: UInt64
    /// Nanoseconds within the second.
    public let nanoseconds: UInt32

    /// From the two fields as they stand on the wire.
    public init(seconds: UInt64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// The label of a moment in Unix time (CLOCK_REALTIME).
    public init(unixSeconds: Int64, nanoseconds: UInt32) {
        self.init(seconds: 0x4000_0000_0000_000a &+ UInt64(bitPattern: unixSeconds), nanoseconds: nanoseconds)
    }

    /// Unix seconds; 0 for a label before 1970.
    public var unixSeconds: UInt64 {
        let start: UInt64 = 0x4000_0000_0000_000a
        return seconds > start ? seconds - start : 0
    }

    /// The next label: one nanosecond later.
    public var successor: TAI64N {
        nanoseconds < 999_999_999
            ? TAI64N(seconds: seconds, nanoseconds: nanoseconds + 1)
            : TAI64N(seconds: seconds &+ 1, nanoseconds: 0)
    }

    /// The label `count` seconds later.
    public func adding(seconds count: UInt64) -> TAI64N {
        TAI64N(seconds: seconds &+ count, nanoseconds: nanoseconds)
    }

    /// Earlier is less.
    public static func < (left: TAI64N, right: TAI64N) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}
