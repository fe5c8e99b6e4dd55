/// The anti-replay window of RFC 6479 over one lane's counters: exactly 8192 wide, a ring of 64-bit words with one
/// word more than the window needs, so that moving ahead clears whole words and never shifts.
///
/// The order of use is part of the defence: `check`, authenticate, `mark`. A datagram that fails authentication must
/// not move the window, or anybody could push it past all genuine ones.
public struct ReplayWindow: ~Copyable {
    /// How far behind the highest counter a datagram may be (protocol.md, 4).
    public static var width: UInt64 { 8192 }
    /// Counters from here on are refused (REJECT_AFTER_MESSAGES, protocol.md, 4).
    public static let limit: UInt64 = 0 &- (1 << 13) &- 1

    /// What `check` found.
    public enum Verdict: Sendable {
        /// Not seen, and inside the window or ahead of it.
        case fresh
        /// Seen before.
        case replayed
        /// Behind the window, or at or above the limit.
        case outside
    }

    private static var wordCount: UInt64 { 129 }
    private var words: InlineArray<129, UInt64>
    /// One above the highest counter marked; 0 while none is.
    public private(set) var edge: UInt64

    /// An empty window.
    public init() {
        words = InlineArray(repeating: 0)
        edge = 0
    }

    /// Whether a datagram with this counter may be opened. Changes nothing.
    @inline(__always)
    public func check(_ counter: UInt64) -> Verdict {
        if counter >= Self.limit { return .outside }
        if counter >= edge { return .fresh }
        if edge &- counter > Self.width { return .outside }
        let word = words[Int(truncatingIfNeeded: (counter &>> 6) % Self.wordCount)]
        return word & (1 &<< (counter & 63)) == 0 ? .fresh : .replayed
    }

    /// Remembers a counter that `check` called fresh and whose datagram has authenticated.
    @inline(__always)
    public mutating func mark(_ counter: UInt64) {
        if counter >= edge {
            let newest = counter &>> 6
            // `edge` 0 stands before word 0; every word above the newest one marked so far is stale.
            var stale = edge == 0 ? 0 : (edge &- 1) &>> 6 &+ 1
            if newest >= stale &+ Self.wordCount { stale = newest &- Self.wordCount &+ 1 }
            while stale <= newest {
                words[Int(truncatingIfNeeded: stale % Self.wordCount)] = 0
                stale &+= 1
            }
            edge = counter &+ 1
        }
        words[Int(truncatingIfNeeded: (counter &>> 6) % Self.wordCount)] |= 1 &<< (counter & 63)
    }
}
