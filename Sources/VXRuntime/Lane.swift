import Glibc
public import VXCrypto
public import VXDataPlane
import VXLinux
public import VXWire

/// What every lane is told of the node.
public struct LaneTopology: Sendable {
    /// How many lane threads the node runs.
    public let threads: Int
    /// By the place that `LanePorts.devices` uses too.
    public let networks: [NetworkDefinition]
    /// By peer index.
    public let peers: [PeerDefinition]
    /// How many peers there may be before the networks are told anew.
    public let peerCapacity: Int
    /// Which ways of handling many packets as one are in use.
    public let offloads: PacketOffloads
    /// Who computes the AEAD; every lane has a context of its own.
    public let cipher: BulkCipher.Provider
    /// How long a lane without work keeps looking before it sleeps.
    public let busyPoll: Interval

    /// From its parts.
    public init(
        threads: Int,
        networks: [NetworkDefinition],
        peers: [PeerDefinition],
        peerCapacity: Int? = nil,
        offloads: PacketOffloads = PacketOffloads(),
        cipher: BulkCipher.Provider = .libsodium,
        busyPoll: Interval = .seconds(0)
    ) {
        self.threads = threads
        self.busyPoll = busyPoll
        self.offloads = offloads
        self.networks = networks
        self.peers = peers
        self.peerCapacity = peerCapacity ?? peers.count
        self.cipher = cipher
    }
}

/// One lane thread: it owns one queue of each TAP device, its sockets, and a `VTEP` with this lane's keys, and runs until
/// it is told to stop. No other thread touches what it owns.
final class Lane: @unchecked Sendable {
    let mailbox: Mailbox<LaneCommand>
    let drops = DropCounters()
    /// How many datagrams this lane handed to others. From any thread.
    let handovers: CounterBlock
    /// How often it has gone round its loop: who is stuck in a call does not.
    let turns = TurnCounter()
    private let handshake: Mailbox<HandshakeMessage>
    private let offloads: OffloadBoard
    private let losses: Mailbox<DeviceLoss>
    private var ports: LanePorts
    private var vtep: VTEP
    private var receiving: DatagramVector
    private var sending: DatagramVector
    /// Where frames are read to, one after the other: each is sealed before the next is read.
    private let slot: UnsafeMutableRawPointer
    /// What the other threads received of this one's lanes, and how far each ring is read.
    private var incoming: [(ring: HandoverRing, position: Int)] = []
    private var neighbours: [Mailbox<LaneCommand>] = []
    private var clockGuard = ClockGuard()
    private let busyPoll: Interval
    private var ready = EventLoop.ReadyList(capacity: 64)

    /// Frames read from one device before others get their turn.
    private static let framesPerTurn = 256
    /// System calls for one socket before others get their turn.
    private static let callsPerTurn = 4
    /// Runs received by one call.
    private static let runsPerCall = 16
    /// The largest UDP payload, so nothing is ever cut.
    private static let largestRun = 65_536
    /// Free bytes before each frame, for the headers of all kinds.
    private static let headroom = 64
    /// The largest super-frame: 64 KiB of IP, Ethernet header, tags.
    private static let largestSuperFrame = 65_536 + 64
    /// Delivered bytes that are written before more is opened, while they are in the core's cache.
    private static let deliveredBytesPerWrite = 128 << 10
    /// Delivered datagrams after which their readers get a turn on this core: a socket of the default size (net.core.rmem_max,
    /// 212,992 bytes of accounting) holds some 90 full-sized ones or 270 small ones.
    private static let datagramsPerBurst = 32

    init(
        number: Int,
        topology: LaneTopology,
        ports: consuming LanePorts,
        handshake: Mailbox<HandshakeMessage>,
        losses: Mailbox<DeviceLoss>,
        board offloads: OffloadBoard
    ) throws(SystemCallError) {
        self.handshake = handshake
        self.offloads = offloads
        busyPoll = topology.busyPoll
        self.losses = losses
        mailbox = try Mailbox()
        vtep = VTEP(
            lane: number,
            threads: topology.threads,
            networks: topology.networks,
            peers: topology.peers,
            peerCapacity: topology.peerCapacity,
            cipher: try Self.cipher(topology.cipher),
            offloads: topology.offloads,
            drops: drops
        )
        handovers = vtep.handovers
        slot = .allocate(byteCount: Self.headroom + Self.largestSuperFrame, alignment: 64)
        receiving = DatagramVector(
            receiving: Self.runsPerCall,
            datagramSize: Self.largestRun,
            headroom: Self.headroom
        )
        sending = DatagramVector(sending: 64)
        self.ports = ports
        try self.ports.register(wakeUp: mailbox.wakeUp)
    }

    deinit { slot.deallocate() }

    /// This lane's own context. The provider has proven itself before, so that only memory can be missing.
    private static func cipher(_ provider: BulkCipher.Provider) throws(SystemCallError) -> BulkCipher {
        do {
            return try BulkCipher.make(provider)
        } catch {
            throw SystemCallError(call: "malloc", code: ENOMEM, context: "\(error)")
        }
    }

    /// Joins the lane with the others; before its thread runs.
    func connect(number: Int, rings: HandoverRings, lanes: [Mailbox<LaneCommand>]) {
        vtep.connect(rings)
        neighbours = lanes
        incoming = lanes.indices.filter { $0 != number }.map { (rings.ring(from: $0, to: number), 0) }
    }

    /// The thread's body.
    func run() {
        while true {
            waitForWork()
            turns.count()
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
                    if ready.hasFailed(place) { loseDevice(network) } else { readDevice(network, now: now) }
                case .sealed(let socket):
                    readSealed(socket, now: now)
                case .plaintext(let socket):
                    readPlaintext(socket, now: now)
                }
                report()
            }
        }
    }

    /// Sleeps until there is something to do, after having looked for it awake for the time of `busyPoll`: a wake-up takes
    /// longer than a round trip in a rack.
    private func waitForWork() {
        if busyPoll > .seconds(0) {
            let end = Clocks.monotonic() + busyPoll
            repeat {
                ports.events.wait(into: &ready, timeoutMilliseconds: 0)
                if ready.count > 0 { return }
                // What is waited for may need this very core.
                sched_yield()
            } while Clocks.monotonic() < end
        }
        ports.events.wait(into: &ready, timeoutMilliseconds: 1000)
    }

    /// Carries out what the handshake thread asked; false when the lane is to end.
    private func obey(now: Instant) -> Bool {
        mailbox.wakeUp.clear()
        takeHandedOver(now: now)
        var isStopping = false
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
            case .setPort(let peer, let isOwn):
                vtep.setPort(isOwn: isOwn, of: peer)
            case .tryOwnPort(let peer, let count):
                vtep.tryOwnPort(towards: peer, count: count, now: now)
            case .setDevice(let network, let queue):
                setDevice(network, queue)
            case .judge(let peer, let request, let askedAt):
                let (fate, reason) = vtep.judge(request.frame, vni: request.vni, from: peer, now: now)
                let reply = FrameTrace.Reply(
                    identifier: request.identifier,
                    fate: fate,
                    nanoseconds: Clocks.bootTime().since(askedAt).nanoseconds,
                    reason: reason?.name ?? ""
                )
                handshake.post(.judged(peer, reply))
            case .capture(let place, let program, let barrier):
                vtep.setCapture(program, at: place)
                barrier.pass([])
            case .reconfigure(let change):
                reconfigure(change)
            case .stop:
                isStopping = true
            }
            flush()
        }
        if isStopping { refuse(mailbox.close()) }
        return !isStopping
    }

    /// The lane ends: whoever waits for it to pass on waits no more.
    private func refuse(_ commands: [LaneCommand]) {
        for command in commands {
            if case .reconfigure(let change) = command { change.acknowledge() }
            if case .capture(_, _, let barrier) = command { barrier.pass([]) }
        }
    }

    /// Takes over what a reload changed, between two batches.
    private func reconfigure(_ change: LaneChange) {
        flush()
        writeDelivered()
        vtep.apply(change.topology)
        if change.closesPlaintext { ports.closePlaintext() }
        let former = change.topology.networks.filter { $0.definition == nil }.map {
            QueueHandover(ports.takeDevice($0.place), generation: 0)
        }
        for (network, queue) in change.queues { setDevice(network, queue) }
        change.acknowledge(former)
    }

    /// Somebody removed a device: whoever makes it again is told, and frames for it are dropped until then.
    private func loseDevice(_ network: Int) {
        guard network < ports.devices.count, ports.devices[network].isGone else { return }
        ports.forgetDevice(network)
        losses.post(DeviceLoss(network: network, generation: ports.generations[network]))
    }

    private func setDevice(_ network: Int, _ handover: QueueHandover) {
        guard let queue = handover.take() else { return }
        do {
            try ports.replaceDevice(network, by: queue, generation: handover.generation)
        } catch {
            // No memory for the event loop's entry: once more, with yet another.
            losses.post(DeviceLoss(network: network, generation: handover.generation))
        }
    }

    private func drain(_ peer: PeerIndex, now: Instant) {
        while vtep.drainWaiting(peer, now: now) == .batchFull { flush() }
        flush()
        writeDelivered()
    }

    /// Reads until the device is empty, then sends what is left: no timer, so no latency is added.
    private func readDevice(_ network: Int, now: Instant) {
        let frame = slot + Self.headroom
        for _ in 0..<Self.framesPerTurn {
            guard let length = ports.devices[network].readFrame(into: frame, size: Self.largestSuperFrame) else {
                break
            }
            let offload = VirtioNetHeader(reading: frame - VirtioNetHeader.length)
            var progress = vtep.forward(frame, count: length, offload: offload, network: network, now: now)
            while progress == .batchFull {
                flush()
                progress = vtep.resume(now: now)
            }
        }
        vtep.sealOpenDatagram(now: now)
        flush()
        // Answers to packets that are too big for their peer.
        writeDelivered()
    }

    /// Opens what the other threads received of this one's lanes.
    private func takeHandedOver(now: Instant) {
        if ports.sealed.count > 0 { vtep.noteArrival(port: ports.sealed[0].port) }
        for place in incoming.indices {
            let ring = incoming[place].ring
            var isEmpty = false
            for _ in 0..<Self.callsPerTurn where !isEmpty {
                let start = incoming[place].position
                while let datagram = ring.next(&incoming[place].position) {
                    makeRoom(now: now)
                    vtep.receiveSealed(
                        datagram.base,
                        count: datagram.count,
                        segmentSize: 0,
                        from: datagram.source,
                        outerECN: datagram.outerECN,
                        now: now
                    )
                }
                isEmpty = incoming[place].position == start
                guard !isEmpty else { continue }
                passOn(now: now)
                ring.release(incoming[place].position)
            }
            // The others get their turn first.
            if !isEmpty { mailbox.wakeUp.signal() }
        }
    }

    /// Wakes the threads that were handed something.
    private func wakeNeighbours() {
        var threads = vtep.takeThreadsToWake()
        while threads != 0 {
            neighbours[threads.trailingZeroBitCount].wakeUp.signal()
            threads &= threads - 1
        }
    }

    private func readSealed(_ socket: Int, now: Instant) {
        // What came before stays before, as far as that can be.
        takeHandedOver(now: now)
        vtep.noteArrival(port: ports.sealed[socket].port)
        for _ in 0..<Self.callsPerTurn {
            let count = receiving.receive(on: ports.sealed[socket])
            for place in 0..<count {
                if receiving.isTruncated(place) {
                    drops.count(.malformed)
                    continue
                }
                makeRoom(now: now)
                vtep.receiveSealed(
                    receiving.base(place),
                    count: receiving.length(place),
                    segmentSize: receiving.segmentSize(place),
                    from: receiving.source(place),
                    outerECN: receiving.trafficClass(place) & 3,
                    now: now
                )
            }
            wakeNeighbours()
            passOn(now: now)
            if count < receiving.capacity { return }
        }
    }

    private func readPlaintext(_ socket: Int, now: Instant) {
        // A reload may have closed it since it was ready.
        guard socket < ports.plaintext.count else { return }
        vtep.noteArrival(port: ports.plaintext[socket].port)
        for _ in 0..<Self.callsPerTurn {
            let count = receiving.receive(on: ports.plaintext[socket])
            for place in 0..<count {
                if receiving.isTruncated(place) {
                    drops.count(.malformed)
                    continue
                }
                makeRoom(now: now)
                vtep.receivePlaintext(
                    receiving.base(place),
                    count: receiving.length(place),
                    segmentSize: receiving.segmentSize(place),
                    from: receiving.source(place),
                    outerECN: receiving.trafficClass(place) & 3,
                    now: now
                )
            }
            passOn(now: now)
            if count < receiving.capacity { return }
        }
    }

    private func makeRoom(now: Instant) {
        let isBurst = vtep.delivered.datagrams >= Self.datagramsPerBurst
        guard isBurst || !vtep.canReceive || vtep.delivered.bytes >= Self.deliveredBytesPerWrite else { return }
        passOn(now: now)
        // Who reads them may have to run on this very core, and its socket holds only so many.
        if isBurst { sched_yield() }
    }

    /// Passes on what was received: to peers, and to the devices. The receive buffers may be used again then.
    private func passOn(now: Instant) {
        if vtep.hasRelayed {
            while vtep.sendRelayed(now: now) == .batchFull { flush() }
            flush()
        }
        writeDelivered()
    }

    /// Writes the delivered frames to their devices, in order.
    private func writeDelivered() {
        vtep.finishDelivered()
        for place in 0..<vtep.delivered.count {
            let pieces = vtep.delivered.pieces(of: place)
            guard let base = pieces.baseAddress else { continue }
            let network = vtep.delivered.network(of: place)
            if !ports.devices[network].writeFrame(pieces: base, count: pieces.count) { drops.count(.deviceFailed) }
        }
        vtep.removeDelivered()
    }

    /// Sends the outgoing batch: one system call for all runs in a row that leave from the same socket.
    private func flush() {
        let total = vtep.outgoing.count
        var place = 0
        while place < total {
            let socket = senderSocket(of: vtep.outgoing[place])
            sending.reset()
            while place < total, sending.count < sending.capacity {
                let run = vtep.outgoing[place]
                guard senderSocket(of: run) == socket else { break }
                sending.append(
                    base: run.base,
                    count: run.count,
                    segmentSize: run.segmentSize,
                    trafficClass: run.trafficClass,
                    to: run.endpoint
                )
                if vtep.capturesOutgoing { captureOutgoing(place, from: socket) }
                place += 1
            }
            send(from: socket)
        }
        vtep.removeOutgoing()
    }

    private func captureOutgoing(_ place: Int, from socket: LanePorts.Sender?) {
        guard let socket else { return }
        vtep.captureOutgoing(place, from: ports.port(of: socket), now: Clocks.bootTime())
    }

    private func senderSocket(of run: OutgoingRun) -> LanePorts.Sender? {
        let address = run.endpoint.address
        return switch run.path {
        case .sealed: ports.sealedSender(for: address, fromOwnPort: false)
        case .sealedFromOwnPort: ports.sealedSender(for: address, fromOwnPort: true)
        case .plaintext(let hash): ports.plaintextSender(for: address, hash: hash)
        }
    }

    private func send(from socket: LanePorts.Sender?) {
        guard let socket else { return drops.count(.sendFailed, UInt64(sending.count)) }
        let outcome =
            switch socket {
            case .sealed(let place): sending.send(on: ports.sealed[place])
            case .own(let place): sending.send(on: ports.own[place])
            case .plaintext(let place): sending.send(on: ports.senders[place])
            }
        if outcome.tooBig > 0 { drops.count(.tooBig, UInt64(outcome.tooBig)) }
        if outcome.failed > 0 { drops.count(.sendFailed, UInt64(outcome.failed)) }
        if outcome.refusedRun != 0 {
            vtep.stopJoiningDatagrams()
            offloads.refuseRuns(outcome.refusedRun)
        }
    }

    /// Passes what happened to the handshake thread, and answers a confirmation here: frames that waited for a session
    /// leave as soon as it may be sent under.
    private func report() {
        for event in vtep.takeEvents() {
            switch event {
            case .confirmed(_, let peer, _):
                drain(peer, now: Clocks.bootTime())
            case .handshakeNeeded, .endpointMoved, .tripwire, .control: break
            }
            handshake.post(.event(event))
        }
    }
}
