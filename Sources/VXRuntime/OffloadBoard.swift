import Synchronization

/// What became of one offload.
public enum OffloadState: String, Sendable, CaseIterable {
    /// In use.
    case on
    /// Switched off in the configuration.
    case off
    /// The kernel does not have it.
    case missing
    /// It was in use, and the kernel refused it.
    case retreated
}

/// What of the offloads is in use, for `status`. Set up at start; a lane that finds out later that the kernel takes no runs
/// says so here.
public final class OffloadBoard: Sendable {
    private let states: [(name: String, state: OffloadState)]
    /// The errno with which a run was refused; 0 while runs are taken.
    private let refusal = Atomic<Int32>(0)
    private static let sending = "udpSegment"

    /// - Parameter states: every offload, in the order it is shown.
    public init(_ states: [(name: String, state: OffloadState)]) { self.states = states }

    /// The kernel refused a run whose datagrams it took one by one.
    func refuseRuns(_ code: Int32) { refusal.store(code, ordering: .relaxed) }

    /// Every offload, in the order it is shown.
    public var current: [(name: String, state: OffloadState)] {
        let isRefused = refusal.load(ordering: .relaxed) != 0
        return states.map { name, state in
            (name, isRefused && name == Self.sending && state == .on ? .retreated : state)
        }
    }
}
