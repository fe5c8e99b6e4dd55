import VXCrypto
public import VXDataPlane
import VXLinux
import VXWire

/// What every lane is told of the node.
public struct LaneTopology: Sendable {
    /// How many lane threads the node runs.
    public let threads: Int
    /// By the place that `LanePorts.devices` uses too.
    public let networks: [NetworkDefinition]
    /// By peer index.
    public let peers: [PeerDefinition]

    /// From its parts.
    public init(threads: Int, networks: [NetworkDefinition], peers: [PeerDefinition]) {
        self.threads = threads
        self.networks = networks
        self.peers = peers
    }
}

/// One lane thread: it owns one queue of each TAP device, its sockets, and a `VTEP` with this lane's keys, and runs until
/// it is told to stop. No other thread touches what it owns.
final class Lane: @unchecked Sendable {
    let mailbox: Mailbox<LaneCommand>
    let drops = DropCounters()
    private let handshake: Mailbox<HandshakeMessage>
    private let ports: LanePorts
    private var vtep: VTEP
    private var receiving: DatagramVector
    private var sending: DatagramVector
    /// Slots that frames are read into; a frame stands `VTEP.headroom` behind its slot's start.
    private let slots: UnsafeMutableRawPointer
    private let slotSize: Int
    private var clockGuard = ClockGuard()
    private var ready = EventLoop.ReadyList(capacity: 64)

    /// Frames read from one device before the batch is sent: few enough that one busy device does not hold up others.
    private static let framesPerBatch = 64
    /// Batches taken from one descriptor before the others get their turn.
    private static let batchesPerTurn = 4
    /// Above any underlay MTU that Ethernet carries; larger datagrams are cut by the kernel and counted `malformed`.
    private static let largestDatagram = 9216

    init(
        number: Int,
        topology: LaneTopology,
        ports: consuming LanePorts,
        handshake: Mailbox<HandshakeMessage>
    ) throws(SystemCallError) {
        self.handshake = handshake
        mailbox = try Mailbox()
        vtep = VTEP(
            lane: number,
            threads: topology.threads,
            networks: topology.networks,
            peers: topology.peers,
            cipher: .libsodium(),
            drops: drops
        )
        let largest = topology.networks.map(\.maximumFrame).max() ?? 1514
        slotSize = (VTEP.headroom + largest + VTEP.tailroom + 63) / 64 * 64
        slots = .allocate(byteCount: slotSize * Self.framesPerBatch, alignment: 64)
        receiving = DatagramVector(receiving: 64, datagramSize: Self.largestDatagram, headroom: 64)
        sending = DatagramVector(sending: VTEP.batchCapacity)
        self.ports = ports
        try self.ports.register(wakeUp: mailbox.wakeUp)
    }

    deinit { slots.deallocate() }

    /// The thread's body.
    func run() {
        while true {
            ports.events.wait(into: &ready, timeoutMilliseconds: 1000)
            if clockGuard.hasJumped() {
                vtep.eraseAll()
                handshake.post(.clockJumped)
            }
            let now = Clocks.bootTime()
            for place in 0..<ready.count {
                switch LanePorts.Source(token: ready[place]) {
                case .mailbox:
                    if !obey(now: now) { return }
                case .device(let network):
                    readDevice(network, now: now)
                case .sealed(let socket):
                    readSealed(socket, now: now)
                case .plaintext(let socket):
                    readPlaintext(socket, now: now)
                }
                report()
            }
        }
    }

    /// Carries out what the handshake thread asked; false when the lane is to end.
    private func obey(now: Instant) -> Bool {
        mailbox.wakeUp.clear()
        for command in mailbox.takeAll() {
            switch command {
            case .install(let parameters):
                vtep.install(parameters)
                handshake.post(.installed(parameters.localIndex))
            case .activate(let index, let peer, let announce):
                vtep.activate(index, announce: announce, now: now)
                drain(peer, now: now)
            case .stopSending(let index):
                vtep.stopSending(index)
            case .retire(let index):
                vtep.retire(index)
                handshake.post(.retired(index))
            case .keepalive(let peer):
                vtep.keepalive(peer, now: now)
            case .control(let peer, let message):
                _ = vtep.sendControl(message, to: peer, now: now)
            case .report(let index):
                _ = vtep.sendReport(of: index, now: now)
            case .probe(let peer, let size, let identifier):
                _ = vtep.sendProbe(size: size, identifier: identifier, to: peer, now: now)
            case .setPathMTU(let peer, let bytes):
                vtep.setPathMTU(bytes, of: peer)
            case .dropWaiting(let peer):
                vtep.dropWaiting(peer)
            case .setEndpoint(let peer, let endpoint):
                vtep.setEndpoint(endpoint, of: peer)
            case .stop:
                flush()
                return false
            }
            flush()
        }
        return true
    }

    private func drain(_ peer: PeerIndex, now: Instant) {
        while vtep.drainWaiting(peer, now: now) == .batchFull { flush() }
        flush()
        writeDelivered()
    }

    /// Reads until the device is empty, sending once a batch: no timer, so no latency is added.
    private func readDevice(_ network: Int, now: Instant) {
        for _ in 0..<Self.batchesPerTurn {
            var count = 0
            while count < Self.framesPerBatch {
                let frame = slots + count * slotSize + VTEP.headroom
                let size = slotSize - VTEP.headroom - VTEP.tailroom
                guard let length = ports.devices[network].readFrame(into: frame, size: size) else { break }
                count += 1
                if !vtep.canForward { flush() }
                var progress = vtep.forward(frame, count: length, network: network, now: now)
                while progress == .batchFull {
                    flush()
                    progress = vtep.resumeFlood(now: now)
                }
            }
            flush()
            // Answers to packets that are too big for their peer.
            writeDelivered()
            if count < Self.framesPerBatch { return }
        }
    }

    private func readSealed(_ socket: Int, now: Instant) {
        for _ in 0..<Self.batchesPerTurn {
            let count = receiving.receive(on: ports.sealed[socket])
            for place in 0..<count {
                if receiving.isTruncated(place) {
                    drops.count(.malformed)
                    continue
                }
                if !vtep.canReceive { writeDelivered() }
                vtep.receiveSealed(
                    receiving.base(place),
                    count: receiving.length(place),
                    from: receiving.source(place),
                    now: now
                )
            }
            writeDelivered()
            if count < receiving.capacity { return }
        }
    }

    private func readPlaintext(_ socket: Int, now: Instant) {
        for _ in 0..<Self.batchesPerTurn {
            let count = receiving.receive(on: ports.plaintext[socket])
            for place in 0..<count {
                if receiving.isTruncated(place) {
                    drops.count(.malformed)
                    continue
                }
                if !vtep.canReceive { writeDelivered() }
                vtep.receivePlaintext(
                    receiving.base(place),
                    count: receiving.length(place),
                    from: receiving.source(place),
                    now: now
                )
            }
            writeDelivered()
            if count < receiving.capacity { return }
        }
    }

    /// Writes the delivered frames to their devices, in order.
    private func writeDelivered() {
        for place in 0..<vtep.delivered.count {
            let frame = vtep.delivered[place]
            let taken = ports.devices[frame.network].writeFrame(
                frame.base,
                count: frame.count,
                checksum: frame.checksum
            )
            if !taken { drops.count(.deviceFailed) }
        }
        vtep.removeDelivered()
    }

    /// Sends the outgoing batch: one system call for each run of datagrams that leave from the same socket.
    private func flush() {
        let total = vtep.outgoing.count
        var place = 0
        while place < total {
            let first = vtep.outgoing[place]
            let socket = senderSocket(of: first)
            sending.reset()
            while place < total {
                let datagram = vtep.outgoing[place]
                guard senderSocket(of: datagram) == socket else { break }
                sending.append(base: datagram.base, count: datagram.count, to: datagram.endpoint)
                place += 1
            }
            send(from: socket)
        }
        vtep.removeOutgoing()
    }

    /// A sealed socket's place, or below zero the plaintext sender's: -1 is the first.
    private func senderSocket(of datagram: OutgoingDatagram) -> Int? {
        switch datagram.path {
        case .sealed: ports.sealedSocket(for: datagram.endpoint.address)
        case .plaintext(let hash): ports.sender(for: datagram.endpoint.address, hash: hash).map { -1 - $0 }
        }
    }

    private func send(from socket: Int?) {
        guard let socket else { return drops.count(.sendFailed, UInt64(sending.count)) }
        let outcome =
            socket >= 0
            ? sending.send(on: ports.sealed[socket])
            : sending.send(on: ports.senders[-1 - socket])
        if outcome.tooBig > 0 { drops.count(.tooBig, UInt64(outcome.tooBig)) }
        if outcome.failed > 0 { drops.count(.sendFailed, UInt64(outcome.failed)) }
    }

    /// Passes what happened to the handshake thread, and answers a confirmation here: frames that waited for a session
    /// leave as soon as it may be sent under.
    private func report() {
        for event in vtep.takeEvents() {
            switch event {
            case .confirmed(_, let peer, _):
                drain(peer, now: Clocks.bootTime())
            case .handshakeNeeded, .endpointMoved, .control: break
            }
            handshake.post(.event(event))
        }
    }
}
