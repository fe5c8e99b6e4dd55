import VXDataPlane
import VXLinux
import VXWire

/// What a lane thread is asked to do.
enum LaneCommand: Sendable {
    case install(SessionParameters)
    case activate(ReceiverIndex, peer: PeerIndex, announce: Bool)
    case stopSending(ReceiverIndex)
    case retire(ReceiverIndex)
    case keepalive(PeerIndex)
    case control(PeerIndex, [UInt8])
    case report(ReceiverIndex)
    case probe(PeerIndex, size: Int, identifier: UInt32)
    case setPathMTU(PeerIndex, Int)
    case dropWaiting(PeerIndex)
    case setEndpoint(PeerIndex, Endpoint)
    case setPort(PeerIndex, isOwn: Bool)
    case tryOwnPort(PeerIndex, count: Int)
    /// A device that was removed was made again: this is the lane's queue of it.
    case setDevice(network: Int, QueueHandover)
    case stop
}

/// What the handshake thread is told.
enum HandshakeMessage: Sendable {
    case event(DataPlaneEvent)
    case installed(ReceiverIndex)
    case retired(ReceiverIndex)
    /// The clocks jumped apart: the lane has erased its pairs.
    case clockJumped
    case rekey(PeerIndex)
    /// The configured name of a peer stands for this address now.
    case resolved(PeerIndex, Endpoint)
    /// Something to be asked of the machine on its own thread.
    case ask(@Sendable (HandshakeLoop) -> Void)
    case stop
}

/// A queue of a device on its way to the lane that will own it.
final class QueueHandover: @unchecked Sendable {
    /// How many times the network's device was made again, this one included.
    let generation: Int
    // Written before it is posted and taken by the one lane it was posted to.
    private var queue: TAPDevice?

    init(_ queue: consuming TAPDevice, generation: Int) {
        self.queue = .some(queue)
        self.generation = generation
    }

    /// The queue, once.
    func take() -> TAPDevice? {
        let queue = queue.take()
        return queue
    }
}

/// Somebody removed the device of a network, and a lane has noticed.
public struct DeviceLoss: Sendable {
    /// The network's place.
    public let network: Int
    /// How many times the device had been made again before.
    public let generation: Int
}
