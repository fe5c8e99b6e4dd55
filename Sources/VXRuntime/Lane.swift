import VXCrypto
import VXDataPlane
import VXLinux
import VXWire

/// One lane thread: it owns one queue of each TAP device, its sockets, and a `VTEP` with this lane's keys, and runs
/// until it is told to stop. No other thread touches what it owns.
final class Lane: @unchecked Sendable {
    let mailbox: Mailbox<LaneCommand>
    let drops: DropCounters
    private let handshake: Mailbox<HandshakeMessage>
    private let number: Int
    private let ports: LanePorts
    private var vtep: VTEP
    private var receiving: DatagramVector
    private var sending: DatagramVector
    private let frames: FrameBuffers
    private var clockGuard = ClockGuard()

    /// Frames read from one device before the batch is sent; small enough that one busy device does not hold up others.
    private static let framesPerBatch = 64

    init(
        number: Int,
        topology: LaneTopology,
        ports: consuming LanePorts,
        handshake: Mailbox<HandshakeMessage>
    ) throws(SystemCallError) {
        self.number = number
        self.handshake = handshake
        mailbox = try Mailbox()
        drops = topology.drops
        vtep = VTEP(
            lane: number,
            threads: topology.threads,
            networks: topology.networks,
            peers: topology.peers,
            cipher: .libsodium(),
            drops: topology.drops
        )
        let largest = topology.networks.map(\.maximumFrame).max() ?? 1514
        frames = FrameBuffers(count: Self.framesPerBatch, frameSize: largest)
        receiving = DatagramVector(receiving: 64, datagramSize: 9216)
        sending = DatagramVector(sending: VTEP.batchCapacity)
        self.ports = ports
        try self.ports.register(wakeUp: mailbox.wakeUp)
    }

    /// The thread's body.
    func run() {
        while true {
            let ready = ports.events.wait(timeoutMilliseconds: 1000)
            if clockGuard.hasJumped() {
                vtep.eraseAll()
                handshake.post(.clockJumped)
            }
            let now = Clocks.bootTime()
            for token in ready {
                switch LanePorts.Source(token: token) {
                case .mailbox:
                    if !obey(now: now) { return }
                case .device(let network):
                    readDevice(network, now: now)
                case .sealed(let socket):
                    readSealed(socket, now: now)
                case .plaintext(let socket):
                    readPlaintext(socket, now: now)
                }
            }
        }
    }
}
