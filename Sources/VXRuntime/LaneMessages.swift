import Synchronization
import VXCrypto
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
    /// What would become of a frame of the peer; asked at this moment.
    case judge(PeerIndex, FrameTrace.Request, askedAt: Instant)
    /// A capture starts or ends; the lane says when it has.
    case capture(Int, CaptureProgram?, LaneBarrier)
    /// Networks and peers change; the lane says when it has passed on.
    case reconfigure(LaneChange)
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
    /// An answer for the peer that asked.
    case judged(PeerIndex, FrameTrace.Reply)
    /// The configured name of the peer with this configured key stands for this address now.
    case resolved(PeerIndex, PublicKey, Endpoint)
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

/// What a reload asks of one lane.
final class LaneChange: Sendable {
    let topology: TopologyChange
    /// The lane's queues of the devices of new networks, by the networks' places.
    let queues: [(network: Int, queue: QueueHandover)]
    /// No network is plaintext any more, and no plaintext port stays open.
    let closesPlaintext: Bool
    private let barrier: LaneBarrier

    init(
        _ topology: TopologyChange,
        queues: [(network: Int, queue: QueueHandover)],
        closesPlaintext: Bool,
        barrier: LaneBarrier
    ) {
        self.topology = topology
        self.queues = queues
        self.closesPlaintext = closesPlaintext
        self.barrier = barrier
    }

    /// The lane has passed on, or has ended.
    /// - Parameter queues: its queues of the devices that go.
    func acknowledge(_ queues: [QueueHandover] = []) { barrier.pass(queues) }
}

/// Tells when every lane has passed on, and gathers what they have let go.
final class LaneBarrier: Sendable {
    private let state: Mutex<(left: Int, queues: [QueueHandover])>
    private let passed: @Sendable ([QueueHandover]) -> Void

    init(lanes: Int, passed: @escaping @Sendable ([QueueHandover]) -> Void) {
        state = Mutex((lanes, []))
        self.passed = passed
    }

    func pass(_ queues: [QueueHandover]) {
        let all = state.withLock { state -> [QueueHandover]? in
            state.left -= 1
            state.queues += queues
            return state.left == 0 ? state.queues : nil
        }
        if let all { passed(all) }
    }
}

/// Somebody removed the device of a network, and a lane has noticed.
public struct DeviceLoss: Sendable {
    /// The network's place.
    public let network: Int
    /// How many times the device had been made again before.
    public let generation: Int
}
