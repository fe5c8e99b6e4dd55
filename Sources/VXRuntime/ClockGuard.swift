import VXLinux
import VXWire

/// Notices that the machine was suspended or its memory restored: BOOTTIME then runs ahead of MONOTONIC. A key that was
/// live before must not seal anything after (protocol.md, 1), for a restored copy could use a nonce a second time.
struct ClockGuard {
    /// More than two readings one after the other can lie apart, less than any suspend.
    private static let tolerance: UInt64 = 100_000_000
    private let monotonic: () -> Instant
    private let bootTime: () -> Instant
    /// By how much BOOTTIME was ahead at the last reading.
    private var offset: UInt64

    /// - Parameters:
    ///   - monotonic: stands still while the machine is suspended.
    ///   - bootTime: goes on meanwhile.
    init(monotonic: @escaping () -> Instant = Clocks.monotonic, bootTime: @escaping () -> Instant = Clocks.bootTime) {
        self.monotonic = monotonic
        self.bootTime = bootTime
        offset = Self.offset(monotonic, bootTime)
    }

    private static func offset(_ monotonic: () -> Instant, _ bootTime: () -> Instant) -> UInt64 {
        let first = monotonic()
        return bootTime().nanoseconds &- first.nanoseconds
    }

    /// Whether the clocks moved apart since the last call.
    mutating func hasJumped() -> Bool {
        let current = Self.offset(monotonic, bootTime)
        defer { offset = current }
        let moved = current > offset ? current - offset : offset - current
        return moved > Self.tolerance
    }
}
