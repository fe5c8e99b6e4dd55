import Synchronization
import VXWire

/// Bounds the broadcast, unknown unicast and multicast frames of one network: those of the own device together, and those of
/// each peer by itself, so that a storm starves nobody else. Shared by all lanes: however flows are spread, the rate is one.
///
/// Each bucket is one atomic word, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371,
/// annex A): a frame puts it off by one interval, and passes while it is less than the burst ahead.
public final class FloodLimiter: @unchecked Sendable {
    let buckets: FloodBuckets

    /// - Parameters:
    ///   - rate: frames a second, at least 1; the burst is twice that (product.md, `bumRate`).
    ///   - peerCount: the node's peers.
    public init(rate: Int, peerCount: Int) {
        buckets = FloodBuckets(
            words: ZeroedWords.allocate(peerCount + 1),
            peerCount: peerCount,
            interval: 1_000_000_000 / UInt64(rate),
            burst: 2_000_000_000
        )
    }

    deinit { buckets.deallocate() }
}

/// A limiter's buckets as a lane sees them, valid as long as the limiter.
struct FloodBuckets {
    fileprivate let words: UnsafeMutablePointer<Atomic<UInt64>>
    fileprivate let peerCount: Int
    /// Nanoseconds for one frame.
    fileprivate let interval: UInt64
    /// How far ahead of now a bucket may be, in nanoseconds.
    fileprivate let burst: UInt64

    fileprivate func deallocate() { ZeroedWords.deallocate(words) }

    /// Takes a frame's share from a peer's bucket, or from the own device's (`ForwardingDatabase.localDevice`).
    /// - Parameters:
    ///   - frames: how many frames a super-frame stands for; all pass when one does, and are paid for afterwards.
    /// - Returns: false when the bucket is empty.
    @inline(__always)
    func take(_ frames: Int, from holder: PeerIndex, now: Instant) -> Bool {
        let word = words + min(Int(holder.rawValue), peerCount)
        let cost = interval &* UInt64(truncatingIfNeeded: frames)
        var full = word.pointee.load(ordering: .relaxed)
        while true {
            let start = max(full, now.nanoseconds)
            // Room for one: what a super-frame takes beyond it is owed.
            if start &- now.nanoseconds &+ interval > burst { return false }
            let (exchanged, found) = word.pointee.weakCompareExchange(
                expected: full,
                desired: start &+ cost,
                ordering: .relaxed
            )
            if exchanged { return true }
            full = found
        }
    }
}
