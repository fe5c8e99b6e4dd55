import Synchronization
public import VXWire

/// Stops the flooding between the two sides of a relaying network while its frames come back: somebody else joins the same
/// sides too, and every broadcast would go round. Shared by all lanes.
///
/// A flooded frame has come back when its station was heard from another peer within the last second or so. Each is dropped, so that nothing goes round twice; sixteen within ten seconds are taken for a loop rather than
/// for a station that moves, and nothing is flooded from side to side for thirty seconds.
public final class RelayGuard: @unchecked Sendable {
    /// How it stands, for people.
    public struct State: Sendable {
        /// Nothing is flooded from side to side.
        public let isStopped: Bool
        /// How often that has happened.
        public let stops: UInt64
    }

    let watch: LoopWatch

    /// No loop was seen yet.
    public init() { watch = LoopWatch(words: ZeroedWords.allocate(2)) }

    deinit { watch.deallocate() }

    /// How it stands at a moment.
    public func state(now: Instant) -> State {
        State(isStopped: !watch.mayFlood(now: now), stops: watch.stops)
    }
}

/// A guard's memory as a lane sees it, valid as long as the guard.
struct LoopWatch {
    /// Milliseconds since boot over 8 bits of count, of which `stopped` says that nothing is flooded since then; how often
    /// that was.
    fileprivate let words: UnsafeMutablePointer<Atomic<UInt64>>

    private static var stopped: UInt64 { 255 }
    private static var window: UInt64 { 10_000 }
    private static var pause: UInt64 { 30_000 }
    private static var mostReturns: UInt64 { 16 }

    fileprivate func deallocate() { ZeroedWords.deallocate(words) }

    fileprivate var stops: UInt64 { words[1].load(ordering: .relaxed) }

    private static func milliseconds(_ now: Instant) -> UInt64 { now.nanoseconds / 1_000_000 }

    /// Milliseconds since `since`; none where another lane's clock reading was a little later.
    @inline(__always)
    private static func elapsed(since: UInt64, at moment: UInt64) -> UInt64 { moment > since ? moment &- since : 0 }

    /// Whether frames are flooded from side to side.
    @inline(__always)
    func mayFlood(now: Instant) -> Bool {
        let state = words[0].load(ordering: .relaxed)
        return state & 255 != Self.stopped || Self.elapsed(since: state &>> 8, at: Self.milliseconds(now)) >= Self.pause
    }

    /// Counts a flooded frame that came back.
    @inline(never)
    func noteReturn(now: Instant) {
        let moment = Self.milliseconds(now)
        let state = words[0].load(ordering: .relaxed)
        let (since, count) = (state &>> 8, state & 255)
        if count == Self.stopped, Self.elapsed(since: since, at: moment) < Self.pause { return }
        let isFirst = count == 0 || count == Self.stopped || Self.elapsed(since: since, at: moment) >= Self.window
        let isLoop = !isFirst && count &+ 1 >= Self.mostReturns
        let next = isFirst ? moment &<< 8 | 1 : isLoop ? moment &<< 8 | Self.stopped : state &+ 1
        // Where another lane was faster this return is not counted, and the next one is.
        let isMine = words[0].compareExchange(expected: state, desired: next, ordering: .relaxed).exchanged
        if isMine, isLoop { words[1].wrappingAdd(1, ordering: .relaxed) }
    }
}
