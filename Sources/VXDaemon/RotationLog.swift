import Logging
import Synchronization
import VXHandshake
import VXLinux
import VXWire

/// Words what rotations have to tell, for the log, and keeps the ledger.
final class RotationLog: Sendable {
    private let logger: Logger
    private let ledger: RotationLedger
    private let storeFailures = Mutex(LogInterval<String>())

    init(logger: Logger, ledger: RotationLedger) {
        self.logger = logger
        self.ledger = ledger
    }

    func note(_ notice: RotationNotice, peer: PeerIndex?, roster: Roster) {
        let name = peer.map(roster.name(of:)) ?? "this node"
        let metadata: Logger.Metadata = ["peer": "\(name)"]
        switch notice {
        case .successorAccepted(let key):
            logger.notice("the peer's next key is stored: \(key)", metadata: metadata)
        case .peerSwitched(let key):
            logger.notice("the peer uses its new key: \(key)", metadata: metadata)
        case .successorConflict:
            logger.error(
                "two different successors were stated in the peer's name: \(Self.mend(name))",
                metadata: metadata
            )
        case .acknowledged:
            logger.info("the peer has stored this node's new key", metadata: metadata)
        case .switched:
            if let peer { ledger.finish(.identity, peer) }
            logger.notice("the peer uses this node's new key", metadata: metadata)
        case .leftBehind:
            logger.warning(
                "the overlap is over and the peer still knows the old key alone; on it run: vxseal rotate accept",
                metadata: metadata
            )
        case .rotationEnded: logger.notice("this node's old key is erased")
        case .pskRotated(let generation):
            if let peer { ledger.finish(.psk, peer) }
            logger.notice("the preshared key's generation \(generation) is in use", metadata: metadata)
        case .storeFailed:
            // The cause is in the log already; a peer that repeats its wish must not fill it.
            let isDue = storeFailures.withLock { $0.allows(name, now: Clocks.bootTime()) }
            guard isDue else { return }
            logger.error("the state could not be written; what depended on it did not happen", metadata: metadata)
        }
    }

    /// The line that ends a conflict.
    static func mend(_ name: String) -> String {
        "ask its operator for the right key, then: vxseal rotate accept \(name) KEY, or: vxseal rotate forget \(name)"
    }
}
