import VXLinux
import VXWire

/// Notices that the machine was suspended or its memory restored: BOOTTIME then runs ahead of MONOTONIC. A key that was
/// live before must not seal anything after (protocol.md, 1), for a restored copy could use a nonce a second time.
struct ClockGuard {
    /// More than two readings one after the other can lie apart, less than any suspend.
    private static let tolerance: UInt64 = 100_000_000
    private var offset: UInt64

    init() { offset = Self.currentOffset() }

    private static func currentOffset() -> UInt64 {
        let monotonic = Clocks.monotonic()
        return Clocks.bootTime().nanoseconds &- monotonic.nanoseconds
    }

    /// Whether the clocks moved apart since the last call.
    mutating func hasJumped() -> Bool {
        let current = Self.currentOffset()
        defer { offset = current }
        let moved = current > offset ? current - offset : offset - current
        return moved > Self.tolerance
    }
}
