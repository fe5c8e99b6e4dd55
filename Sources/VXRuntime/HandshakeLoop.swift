import VXCrypto
import VXDataPlane
public import VXHandshake
import VXLinux
public import VXWire

/// The handshake thread: it owns the `HandshakeMachine`, the first socket of the sealed port's group in each family, and
/// the list of key pairs that the lanes hold.
final class HandshakeLoop: @unchecked Sendable {
    let mailbox: Mailbox<HandshakeMessage>
    let drops = DropCounters()
    /// How often it has gone round its loop.
    let turns = TurnCounter()
    let board: StatusBoard
    private var machine: HandshakeMachine
    private let sockets: OwnedArray<UDPSocket>
    private var receiving: DatagramVector
    private let events: EventLoop
    /// The mailbox alone: under load the sockets are looked at every `loadTick`, not at every datagram.
    private let eventsUnderLoad: EventLoop
    private let services: HandshakeServices
    /// The largest datagram that the lanes make.
    private var largestDatagram: Int
    private var established: Set<PeerIndex> = []
    private var nextRouteCheck = Instant(nanoseconds: 0)
    private var nextActivitySample = Instant(nanoseconds: 0)
    private var loadedUntil = Instant(nanoseconds: 0)
    private var lanes: [Mailbox<LaneCommand>] = []
    private var pairs: [ReceiverIndex: LanePair] = [:]
    private var clockGuard = ClockGuard()
    private var isStopping = false
    private var echoes = EchoDesk()
    private var captures = HandshakeCaptures()
    /// How many pairs were made with each peer.
    private var epochs: [PeerIndex: UInt32] = [:]

    /// A pair that the lanes hold, and how many of them have yet to answer.
    private struct LanePair {
        let peer: PeerIndex
        let counters: PairCounters
        var lanesToInstall: Int
        var lanesToRetire: Int
    }

    /// How often the timers look at the lanes' counters; the timers of protocol.md, 4 count whole seconds.
    private static let tick = 200
    /// Datagrams taken by one call. When so many wait, they come faster than they are worked on.
    private static let datagramsPerCall = 64
    /// Calls before the other work gets its turn; under load a turn ends so too.
    private static let callsPerTurn = 16
    /// After so many waited, initiations need a cookie for this long.
    private static let loadTime = Interval.seconds(1)
    /// How often the sockets are looked at under load, in milliseconds. Each datagram of a flood would otherwise wake this
    /// thread, and take the core from a lane; the least buffer that the kernel grants holds what comes meanwhile.
    private static let loadTick = 1
    /// How often the interfaces towards the peers are asked for their MTU.
    private static let routeCheckTime = Interval.seconds(10)

    init(
        machine: consuming HandshakeMachine,
        sockets: consuming OwnedArray<UDPSocket>,
        services: HandshakeServices,
        largestFrame: Int,
        board: StatusBoard
    ) throws(SystemCallError) {
        let mailbox = try Mailbox<HandshakeMessage>()
        let events = try EventLoop()
        try events.add(mailbox.wakeUp.descriptor, token: 0)
        for place in 0..<sockets.count { try events.add(sockets[place].descriptor, token: UInt64(place + 1)) }
        let eventsUnderLoad = try EventLoop()
        try eventsUnderLoad.add(mailbox.wakeUp.descriptor, token: 0)
        self.mailbox = mailbox
        self.events = events
        self.eventsUnderLoad = eventsUnderLoad
        receiving = DatagramVector(
            receiving: Self.datagramsPerCall,
            datagramSize: MessageType.initiation.size,
            headroom: 0
        )
        self.machine = machine
        self.sockets = sockets
        self.services = services
        largestDatagram = Self.largestDatagram(of: largestFrame)
        self.board = board
    }

    /// Names the lanes; before the thread runs.
    func connect(_ lanes: [Mailbox<LaneCommand>]) { self.lanes = lanes }

    private func now() -> Now { Now(instant: Clocks.bootTime(), label: Clocks.label()) }

    /// The thread's body: until every lane has been told to stop.
    func run() {
        var ready = EventLoop.ReadyList(capacity: 8)
        machine.start(now: Clocks.bootTime())
        while !isStopping {
            let isUnderLoad = isUnderLoad
            if isUnderLoad {
                eventsUnderLoad.wait(into: &ready, timeoutMilliseconds: Self.loadTick)
            } else {
                events.wait(into: &ready, timeoutMilliseconds: waitingTime())
            }
            turns.count()
            if clockGuard.hasJumped() { erase() }
            for place in 0..<ready.count {
                if ready[place] == 0 { readMailbox() } else { readSocket(Int(ready[place]) - 1) }
            }
            if isUnderLoad { for place in 0..<sockets.count { readSocket(place) } }
            sampleActivity()
            checkRoutes()
            machine.handleTimeout(now: now())
            carryOut()
            echoes.expire(now: Clocks.bootTime())
        }
        echoes.close()
        for lane in lanes { lane.post(.stop) }
        // Whoever asked too late still gets an answer.
        for message in mailbox.close() { if case .ask(let body) = message { body(self) } }
    }

    private func waitingTime() -> Int {
        let due = [machine.nextTimeout, echoes.nextDeadline].compactMap(\.self)
        guard let next = due.min() else { return Self.tick }
        let left = next.since(Clocks.bootTime()).nanoseconds / 1_000_000 + 1
        return min(Self.tick, Int(clamping: left))
    }

    private var isUnderLoad: Bool { Clocks.bootTime() < loadedUntil }

    private func readSocket(_ place: Int) {
        for _ in 0..<Self.callsPerTurn {
            let count = receiving.receive(on: sockets[place])
            if count == receiving.capacity { loadedUntil = Clocks.bootTime() + Self.loadTime }
            let isUnderLoad = isUnderLoad
            for number in 0..<count { handle(number, of: sockets[place].port, isUnderLoad: isUnderLoad) }
            if count < receiving.capacity { return }
        }
    }

    /// Takes one of the datagrams that were received.
    private func handle(_ number: Int, of port: UInt16, isUnderLoad: Bool) {
        if receiving.isTruncated(number) { return drops.count(.malformed) }
        let bytes = UnsafeRawBufferPointer(start: receiving.base(number), count: receiving.length(number))
        let source = receiving.source(number)
        captures.begin()
        defer { captures.handled(bytes, from: source, to: port) }
        if !isUnderLoad || machine.admitsUnderLoad(bytes.bytes, from: source, now: Clocks.bootTime()) {
            machine.handleDatagram([UInt8](bytes), from: source, isUnderLoad: isUnderLoad, now: now())
        }
        carryOut()
    }

    private func checkRoutes() {
        let now = Clocks.bootTime()
        guard now >= nextRouteCheck else { return }
        nextRouteCheck = now + Self.routeCheckTime
        for peer in established { tellInterfaceMTU(of: peer) }
    }

    /// What the interface carries, as far as the lanes' datagrams can use it.
    private func tellInterfaceMTU(of peer: PeerIndex) {
        guard let endpoint = board[peer]?.endpoint, let mtu = UnderlayRoute.interfaceMTU(towards: endpoint) else {
            return
        }
        let limit = largestDatagram + VTEP.udpOverhead(isIPv6: endpoint.address.isIPv6)
        machine.handle(.interfaceMTU(peer, min(mtu, limit)), now: now())
    }

    private func readMailbox() {
        mailbox.wakeUp.clear()
        for message in mailbox.takeAll() {
            switch message {
            case .event(.confirmed(let index, _, let source)): tell(.confirmed(index, from: source))
            case .event(.handshakeNeeded(let peer)): tell(.handshakeNeeded(peer))
            case .event(.endpointMoved(let peer, let endpoint)): tell(.endpointMoved(peer, to: endpoint))
            case .event(.control(let peer, let index, let bytes)): tell(.control(peer, index, bytes))
            case .event(.tripwire(let peer, let source)):
                board.update(peer) { $0.tripwire = .init(at: Clocks.bootTime(), source: source) }
            case .installed(let index): installed(index)
            case .retired(let index): retired(index)
            case .clockJumped: erase()
            case .judged(let peer, let reply):
                machine.answer(reply, to: peer)
                carryOut()
            case .rekey(let peer): tell(.rekeyRequested(peer))
            case .resolved(let peer, let key, let endpoint):
                // The name was looked up for a while: by now the index may be another peer's.
                if machine.configuredKey(of: peer) == key { tell(.endpointResolved(peer, endpoint)) }
            case .ask(let body): body(self)
            case .stop:
                tell(.shutdown)
                isStopping = true
            }
        }
    }

    private func tell(_ event: LaneEvent) {
        machine.handle(event, now: now())
        carryOut()
    }

    private func installed(_ index: ReceiverIndex) {
        pairs[index]?.lanesToInstall -= 1
        if pairs[index]?.lanesToInstall == 0 { tell(.installed(index)) }
    }

    private func retired(_ index: ReceiverIndex) {
        pairs[index]?.lanesToRetire -= 1
        guard let pair = pairs[index], pair.lanesToRetire == 0 else { return }
        pairs[index] = nil
        board.update(pair.peer) { $0.end(index) }
        tell(.retired(index))
    }

    private func erase() {
        guard !pairs.isEmpty else { return }
        // Whichever thread noticed first: all of them let go, and answers of lanes that are still due find nothing.
        for (index, pair) in pairs {
            for lane in lanes { lane.post(.retire(index)) }
            board.update(pair.peer) { $0.end(index) }
        }
        pairs.removeAll()
        tell(.erased)
    }

    private func sampleActivity() {
        let time = Clocks.bootTime()
        guard time >= nextActivitySample else { return }
        nextActivitySample = time + .milliseconds(UInt64(Self.tick / 2))
        for (index, pair) in pairs {
            var activity = PairActivity()
            for thread in lanes.indices {
                let counters = pair.counters.session(thread: thread)
                activity.lastSent = latest(activity.lastSent, counters.lastSent)
                activity.lastDataSent = latest(activity.lastDataSent, counters.lastDataSent)
                activity.lastReceived = latest(activity.lastReceived, counters.lastReceived)
                activity.lastDataReceived = latest(activity.lastDataReceived, counters.lastDataReceived)
                activity.sendCounters.append(counters.sendCounter)
            }
            machine.handle(.activity(index, activity), now: now())
        }
    }

    private func latest(_ known: Instant?, _ nanoseconds: UInt64) -> Instant? {
        guard nanoseconds > 0 else { return known }
        let instant = Instant(nanoseconds: nanoseconds)
        return known.map { max($0, instant) } ?? instant
    }

    // MARK: - Actions

    private func carryOut() {
        while let action = machine.nextAction() {
            switch action {
            case .send(let message, let endpoint): send(message, to: endpoint)
            case .install(let installation): install(installation)
            case .activate(let index, let peer, let announce):
                // One lane announces for all.
                for (number, lane) in lanes.enumerated() {
                    lane.post(.activate(index, peer: peer, announce: announce && number == 0))
                }
            case .stopSending(let index, _): for lane in lanes { lane.post(.stopSending(index)) }
            case .retire(let index): for lane in lanes { lane.post(.retire(index)) }
            case .keepalive(let peer): lanes.first?.post(.keepalive(peer))
            case .control(let peer, let message): lanes.first?.post(.control(peer, message))
            case .report(_, let index): lanes.first?.post(.report(index))
            case .probe(let peer, let size, let identifier):
                lanes.first?.post(.probe(peer, size: size, identifier: identifier))
            case .pathMTU(let peer, let bytes):
                for lane in lanes { lane.post(.setPathMTU(peer, bytes)) }
                board.update(peer) { $0.pathMTU = bytes }
            case .store(let state, let number): store(state, number: number)
            case .promote(let key): promote(key)
            case .notice(let peer, let notice): services.notify(peer, notice)
            case .dropWaiting(let peer): for lane in lanes { lane.post(.dropWaiting(peer)) }
            case .endpoint(let peer, let endpoint):
                for lane in lanes { lane.post(.setEndpoint(peer, endpoint)) }
                board.update(peer) {
                    $0.endpoint = endpoint
                    $0.pathMTU = nil
                }
                if established.contains(peer) { tellInterfaceMTU(of: peer) }
            case .dropped(let reason):
                drops.count(reason)
                captures.refusal = reason
            case .peerState(let peer, let state): board.update(peer) { $0.state = state }
            case .established(let peer, let index, let at, let roundTrip):
                if let counters = pairs[index]?.counters {
                    board.update(peer) { $0.establish(index, at: at, roundTrip: roundTrip, counters: counters) }
                }
                established.insert(peer)
                tellInterfaceMTU(of: peer)
            case .reported(let peer, let index, let lanes):
                board.update(peer) { $0.report(index, lanes) }
            case .observed(let peer, let endpoint): tell(.addressObserved(peer, isOwn: isOwn(endpoint)))
            case .lanePorts(let peer, let ports):
                for (lane, port) in zip(lanes, ports) { lane.post(.setPort(peer, isOwn: port == .own)) }
                board.update(peer) { $0.lanePorts = ports }
            case .checkLane(let peer, let lane, .keepalive): lanes[lane].post(.keepalive(peer))
            case .checkLane(let peer, let lane, .trial(let count)): lanes[lane].post(.tryOwnPort(peer, count: count))
            case .judge(let peer, let request):
                lanes.first?.post(.judge(peer, request, askedAt: Clocks.bootTime()))
            case .traced(let peer, let reply):
                echoes.judged(reply, by: peer, now: Clocks.bootTime())
            case .roundTrip(let peer, let roundTrip): board.update(peer) { $0.roundTrips.note(roundTrip) }
            case .echoed(let peer, let identifier, let sequence):
                guard identifier == echoes.identifier else { continue }
                echoes.answered(sequence, by: peer, now: Clocks.bootTime())
            case .name(let peer, let name): board.update(peer) { $0.hello = name }
            case .clock(let peer, let seconds): board.update(peer) { $0.clockAheadSeconds = seconds }
            }
        }
    }

    private func send(_ message: [UInt8], to endpoint: Endpoint) {
        services.timestamps.extend(beyond: machine.greatestTimestamp)
        for place in 0..<sockets.count where sockets[place].isIPv6 == endpoint.address.isIPv6 {
            if sockets[place].send(message, to: endpoint) != 0 { drops.count(.sendFailed) }
            captures.sent(message, to: endpoint, from: sockets[place].port)
            return
        }
        drops.count(.noEndpoint)
    }

    private func install(_ installation: PairInstallation) {
        epochs[installation.peer, default: 0] += 1
        let counters = PairCounters(threads: lanes.count, receiveLanes: installation.keys.receiveLanes)
        pairs[installation.localIndex] = LanePair(
            peer: installation.peer,
            counters: counters,
            lanesToInstall: lanes.count,
            lanesToRetire: lanes.count
        )
        let parameters = SessionParameters(
            peer: installation.peer,
            localIndex: installation.localIndex,
            remoteIndex: installation.remoteIndex,
            keys: installation.keys,
            isInitiator: installation.isInitiator,
            features: installation.features,
            createdAt: installation.createdAt,
            counters: counters,
            epoch: epochs[installation.peer, default: 0]
        )
        for lane in lanes { lane.post(.install(parameters)) }
    }

    /// Whether a datagram from this endpoint is one of this node's handshake sockets' speaking, with no translator between.
    private func isOwn(_ endpoint: Endpoint) -> Bool {
        for place in 0..<sockets.count
        where sockets[place].isIPv6 == endpoint.address.isIPv6 && sockets[place].port == endpoint.port {
            return LocalAddresses.contains(endpoint.address)
        }
        return false
    }

    /// On the handshake thread: takes over what a reload changed. The lanes know the new peers by now, and know the removed
    /// ones still.
    func apply(_ change: HandshakeChange, largestFrame: Int) {
        largestDatagram = Self.largestDatagram(of: largestFrame)
        established.subtract(change.removed)
        for peer in change.removed { epochs[peer] = nil }
        machine.apply(change, now: now())
        carryOut()
    }

    /// On the handshake thread: starts a capture at a place, or ends it.
    func setCapture(_ program: CaptureProgram?, at place: Int) { captures.set(program, at: place) }

    /// The largest datagram that holds such a frame.
    private static func largestDatagram(of frame: Int) -> Int { frame + VTEP.headroom + VTEP.tailroom }

    /// On the handshake thread: asks a peer something. `answer` is called once, here.
    func inquire(
        _ inquiry: Inquiry,
        of peer: PeerIndex,
        timeout: Interval,
        answer: @escaping @Sendable (PingOutcome) -> Void
    ) {
        let now = Clocks.bootTime()
        guard !isStopping, let sequence = echoes.note(peer, now: now, timeout: timeout, answer: answer) else {
            return answer(.busy)
        }
        let isSent =
            switch inquiry {
            case .echo(let padding):
                machine.ping(peer, identifier: echoes.identifier, sequence: sequence, padding: padding, now: now)
            case .trace(let frame, let vni):
                machine.trace(.init(identifier: sequence, vni: vni, frame: frame), with: peer, now: now)
            }
        guard isSent else { return echoes.giveUp(sequence, with: .noSession) }
        carryOut()
    }

    // MARK: - Rotations

    private func store(_ state: DurableState, number: UInt64) {
        let succeeded = attempt("the state directory") { try services.store.write(state) }
        machine.handle(.stored(number, succeeded: succeeded), now: now())
    }

    private func promote(_ key: PublicKey) {
        let old = machine.rotationSnapshot.publicKey
        let succeeded = attempt("the key file") { try services.store.promoteSuccessor(replacing: old, by: key) }
        machine.handle(.promoted(succeeded: succeeded), now: now())
    }

    private func attempt(_ place: String, _ body: () throws -> Void) -> Bool {
        do {
            try body()
            return true
        } catch {
            services.complain("\(place) cannot be written", "\(error)")
            return false
        }
    }

    /// On the handshake thread: see `Runtime`.
    func rotateIdentity(overlap: Interval) -> RotationOutcome {
        guard machine.rotationSnapshot.rotation == nil else { return .refused("a rotation is open already") }
        let key = StaticKeyPair()
        do {
            try services.store.writeSuccessor(key, beside: machine.rotationSnapshot.publicKey)
            try machine.startRotation(to: key, overlap: overlap, now: now())
        } catch {
            return .refused("\(error)")
        }
        carryOut()
        guard machine.rotationSnapshot.rotation != nil else {
            services.store.discardSuccessor()
            return .refused("the state directory cannot be written; see the daemon's log")
        }
        return .started
    }

    func rotatePSK(with peer: PeerIndex) -> RotationOutcome {
        do {
            try machine.startPSKRotation(with: peer, now: now())
        } catch {
            switch error {
            case .noSession: return .refused("there is no session with the peer to agree on a key in")
            case .lastGeneration: return .refused("255 rotations have been made; replace the key file on both sides")
            case .unknownPeer: return .refused("no sealed peer of that name")
            }
        }
        carryOut()
        return .started
    }

    func accept(_ key: PublicKey, of peer: PeerIndex) -> RotationOutcome {
        defer { carryOut() }
        return machine.accept(key, of: peer, now: now())
            ? .started : .refused("the key is this node's own, another peer's, or none that anybody can hold")
    }

    func forget(_ peer: PeerIndex) -> RotationOutcome {
        defer { carryOut() }
        return machine.forget(peer, now: now()) ? .started : .refused("no sealed peer of that name")
    }

    var rotationSnapshot: RotationSnapshot { machine.rotationSnapshot }
}

/// What the handshake thread uses of the rest of the daemon.
public struct HandshakeServices: Sendable {
    let timestamps: TimestampReservation
    let store: any StateStore
    let notify: @Sendable (PeerIndex?, RotationNotice) -> Void
    let complain: @Sendable (_ what: String, _ why: String) -> Void

    /// From its parts.
    /// - Parameters:
    ///   - timestamps: what keeps initiations' labels rising.
    ///   - store: where rotations' state is kept.
    ///   - notify: hears of what rotations have to tell; about this node itself without a peer.
    ///   - complain: hears of a disk that refuses.
    public init(
        timestamps: TimestampReservation,
        store: any StateStore,
        notify: @escaping @Sendable (PeerIndex?, RotationNotice) -> Void,
        complain: @escaping @Sendable (_ what: String, _ why: String) -> Void
    ) {
        self.timestamps = timestamps
        self.store = store
        self.notify = notify
        self.complain = complain
    }
}

/// What became of the wish for a rotation.
public enum RotationOutcome: Sendable {
    /// It is under way.
    case started
    /// It is not, because of this.
    case refused(String)
}
