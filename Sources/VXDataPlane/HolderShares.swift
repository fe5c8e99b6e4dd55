import Synchronization
import VXWire

/// Divides a bounded table between those who fill it, so that one who floods it can't take the others' places.
///
/// Half of the places are reserved, the same number for each peer and for the own device; the other half is for whoever needs
/// it first, but none gets more than half of it. All lanes count in the same words.
struct HolderShares: @unchecked Sendable {
    /// Most places that are taken at any time, but for the instant in which several lanes refuse.
    let limit: Int
    private let reserve: UInt64
    private let pool: UInt64
    private let peerCount: Int
    /// Places of each peer, then of the own device, then those taken from the pool.
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>

    /// - Parameters:
    ///   - limit: how many places there are.
    ///   - peerCount: peers of the node, by whose index is counted.
    ///   - members: how many of them take part.
    init(limit: Int, peerCount: Int, members: Int) {
        self.limit = limit
        self.peerCount = peerCount
        reserve = UInt64(limit / (2 * (members + 1)))
        pool = UInt64(limit) - reserve * UInt64(members + 1)
        counts = ZeroedWords.allocate(peerCount + 2)
    }

    @inline(__always)
    private func place(_ holder: PeerIndex) -> Int { min(Int(holder.rawValue), peerCount) }

    private var pooled: Int { peerCount &+ 1 }

    /// Takes a place for a holder, if it may have one more.
    func take(_ holder: PeerIndex) -> Bool {
        let before = counts[place(holder)].wrappingAdd(1, ordering: .relaxed).oldValue
        if before < reserve { return true }
        let others = counts[pooled].wrappingAdd(1, ordering: .relaxed).oldValue
        if others < pool, before &- reserve < pool / 2 { return true }
        counts[pooled].wrappingSubtract(1, ordering: .relaxed)
        counts[place(holder)].wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    /// Gives a holder's place back.
    func give(_ holder: PeerIndex) {
        let before = counts[place(holder)].wrappingSubtract(1, ordering: .relaxed).oldValue
        if before > reserve { counts[pooled].wrappingSubtract(1, ordering: .relaxed) }
    }

    /// For a table that does not live as long as the process.
    func deallocate() { ZeroedWords.deallocate(counts) }

    /// How many places are taken.
    var total: Int {
        (0...peerCount).reduce(0) { $0 + Int(truncatingIfNeeded: counts[$1].load(ordering: .relaxed)) }
    }
}
