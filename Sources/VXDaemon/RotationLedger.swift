import Synchronization
import VXCrypto
import VXDataPlane
import VXLinux
import VXRuntime
import VXWire

/// What a rotation cost: each peer's counters when it began, against what they are now.
final class RotationLedger: Sendable {
    /// What is rotated.
    enum Kind: String, Sendable {
        case identity
        case psk
    }

    /// One peer's part.
    struct Mark: Sendable {
        let startedAt: Instant
        let sentFrames: UInt64
        let losses: StatusBoard.Losses
        var finishedAt: Instant?
    }

    /// The rotation that was begun last.
    struct Rotation: Sendable {
        let kind: Kind
        let oldKey: PublicKey?
        var peers: [PeerIndex: Mark]
    }

    private let rotation = Mutex<Rotation?>(nil)

    /// Begins a page; the one before is forgotten.
    func begin(
        _ kind: Kind,
        oldKey: PublicKey? = nil,
        peers: [(index: PeerIndex, sentFrames: UInt64, losses: StatusBoard.Losses)]
    ) {
        let now = Clocks.bootTime()
        let marks = peers.map { ($0.index, Mark(startedAt: now, sentFrames: $0.sentFrames, losses: $0.losses)) }
        rotation.withLock {
            $0 = Rotation(
                kind: kind,
                oldKey: oldKey,
                peers: Dictionary(uniqueKeysWithValues: marks)
            )
        }
    }

    /// The peer uses what is new.
    func finish(_ kind: Kind, _ peer: PeerIndex) {
        let now = Clocks.bootTime()
        rotation.withLock { rotation in
            guard rotation?.kind == kind, rotation?.peers[peer]?.finishedAt == nil else { return }
            rotation?.peers[peer]?.finishedAt = now
        }
    }

    /// The peer is gone, and its index may be another's.
    func forget(_ peer: PeerIndex) { rotation.withLock { $0?.peers[peer] = nil } }

    /// A copy of the page.
    var current: Rotation? { rotation.withLock { $0 } }
}
