import Synchronization
import VXLinux

extension Runtime {
    /// What a lane's thread is called.
    static func laneName(_ number: Int) -> String { "vxseal-lane\(number)" }
    /// What the handshake thread is called.
    static let handshakeName = "vxseal-hs"

    /// The threads' names, in the order of `turns`.
    public var threadNames: [String] { lanes.indices.map(Self.laneName) + [Self.handshakeName] }

    /// How often each thread has gone round its loop. From any thread.
    public var turns: [UInt64] { lanes.map(\.turns.value) + [handshake.turns.value] }

    /// Wakes every thread, so that each that is not stuck goes round its loop. From any thread.
    public func wakeAll() {
        for lane in lanes { lane.mailbox.wakeUp.signal() }
        handshake.mailbox.wakeUp.signal()
    }
}

/// Counts for one thread, and is read by any.
final class TurnCounter: Sendable {
    private let turns = Atomic<UInt64>(0)

    var value: UInt64 { turns.load(ordering: .relaxed) }

    /// Only the owning thread may: a plain addition is enough then.
    func count() { turns.store(turns.load(ordering: .relaxed) &+ 1, ordering: .relaxed) }
}
