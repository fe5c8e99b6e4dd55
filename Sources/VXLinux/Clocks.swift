import Glibc
public import VXWire

/// The clocks; read at the edge and passed inwards.
public enum Clocks {
    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }

    private static func instant(_ clock: clockid_t) -> Instant {
        let time = read(clock)
        return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    /// CLOCK_BOOTTIME: runs on while the machine is suspended.
    public static func bootTime() -> Instant { instant(CLOCK_BOOTTIME) }

    /// CLOCK_MONOTONIC: stands still while the machine is suspended.
    public static func monotonic() -> Instant { instant(CLOCK_MONOTONIC) }

    /// CLOCK_REALTIME: nanoseconds since 1970 in UTC. It may jump.
    public static func unixTime() -> UInt64 { instant(CLOCK_REALTIME).nanoseconds }

    /// CLOCK_REALTIME as a TAI64N label.
    public static func label() -> TAI64N {
        let time = read(CLOCK_REALTIME)
        return TAI64N(unixSeconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}
