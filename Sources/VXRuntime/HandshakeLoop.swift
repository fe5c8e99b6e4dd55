import VXDataPlane
import VXHandshake
import VXLinux
import VXWire

/// The handshake thread: it owns the `HandshakeMachine`, the first socket of the sealed port's group in each family, and
/// the list of key pairs that the lanes hold.
final class HandshakeLoop: @unchecked Sendable {
    let mailbox: Mailbox<HandshakeMessage>
    let drops = DropCounters()
    let board: StatusBoard
    private var machine: HandshakeMachine
    private let sockets: OwnedArray<UDPSocket>
    private let events: EventLoop
    private let timestamps: TimestampReservation
    private var lanes: [Mailbox<LaneCommand>] = []
    private var pairs: [ReceiverIndex: LanePair] = [:]
    private var clockGuard = ClockGuard()
    private var isStopping = false

    /// A pair that the lanes hold, and how many of them have yet to answer.
    private struct LanePair {
        let peer: PeerIndex
        /// By lane.
        let counters: [SessionCounters]
        var lanesToInstall: Int
        var lanesToRetire: Int
    }

    /// How often the timers look at the lanes' counters; the timers of protocol.md, 4 count whole seconds.
    private static let tick = 200
    /// Datagrams taken before the other work gets its turn.
    private static let datagramsPerTurn = 64

    init(
        machine: consuming HandshakeMachine,
        sockets: consuming OwnedArray<UDPSocket>,
        timestamps: TimestampReservation,
        board: StatusBoard
    ) throws(SystemCallError) {
        let mailbox = try Mailbox<HandshakeMessage>()
        let events = try EventLoop()
        try events.add(mailbox.wakeUp.descriptor, token: 0)
        for place in 0..<sockets.count { try events.add(sockets[place].descriptor, token: UInt64(place + 1)) }
        self.mailbox = mailbox
        self.events = events
        self.machine = machine
        self.sockets = sockets
        self.timestamps = timestamps
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
            events.wait(into: &ready, timeoutMilliseconds: waitingTime())
            if clockGuard.hasJumped() { erase() }
            for place in 0..<ready.count {
                if ready[place] == 0 { readMailbox() } else { readSocket(Int(ready[place]) - 1) }
            }
            sampleActivity()
            machine.handleTimeout(now: now())
            carryOut()
        }
        for lane in lanes { lane.post(.stop) }
    }

    private func waitingTime() -> Int {
        guard let next = machine.nextTimeout else { return Self.tick }
        let left = next.since(Clocks.bootTime()).nanoseconds / 1_000_000 + 1
        return min(Self.tick, Int(clamping: left))
    }

    private func readSocket(_ place: Int) {
        for _ in 0..<Self.datagramsPerTurn {
            guard let (datagram, source) = sockets[place].receive(limit: MessageType.initiation.size) else { return }
            machine.handleDatagram(datagram, from: source, now: now())
            carryOut()
        }
    }

    private func readMailbox() {
        mailbox.wakeUp.clear()
        for message in mailbox.takeAll() {
            switch message {
            case .event(.confirmed(let index, _, let source)): tell(.confirmed(index, from: source))
            case .event(.handshakeNeeded(let peer)): tell(.handshakeNeeded(peer))
            case .event(.endpointMoved(let peer, let endpoint)): tell(.endpointMoved(peer, to: endpoint))
            case .event(.control(let peer, let index, let bytes)): tell(.control(peer, index, bytes))
            case .installed(let index): installed(index)
            case .retired(let index): retired(index)
            case .clockJumped: erase()
            case .rekey(let peer): tell(.rekeyRequested(peer))
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
        guard pairs[index]?.lanesToRetire == 0 else { return }
        pairs[index] = nil
        tell(.retired(index))
    }

    private func erase() {
        guard !pairs.isEmpty else { return }
        // Whichever thread noticed first: all of them let go, and answers of lanes that are still due find nothing.
        for index in pairs.keys { for lane in lanes { lane.post(.retire(index)) } }
        pairs.removeAll()
        tell(.erased)
    }

    private func sampleActivity() {
        for (index, pair) in pairs {
            var activity = PairActivity()
            for counters in pair.counters {
                activity.lastSent = latest(activity.lastSent, counters.lastSent)
                activity.lastDataSent = latest(activity.lastDataSent, counters.lastDataSent)
                activity.lastReceived = latest(activity.lastReceived, counters.lastReceived)
                activity.lastDataReceived = latest(activity.lastDataReceived, counters.lastDataReceived)
                activity.sendCounter = max(activity.sendCounter, counters.sendCounter)
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
            case .report(let peer, let index): lanes.first?.post(.report(peer, index))
            case .dropWaiting(let peer): for lane in lanes { lane.post(.dropWaiting(peer)) }
            case .endpoint(let peer, let endpoint):
                for lane in lanes { lane.post(.setEndpoint(peer, endpoint)) }
                board.update(peer) { $0.endpoint = endpoint }
            case .dropped(let reason): drops.count(reason)
            case .peerState(let peer, let state): board.update(peer) { $0.state = state }
            case .established(let peer, let index, let at, let roundTrip):
                let counters = pairs[index]?.counters ?? []
                board.update(peer) { $0.establish(index, at: at, roundTrip: roundTrip, counters: counters) }
            case .reported(let peer, let index, let highest, let received):
                board.report(peer, session: index, highest: highest, received: received)
            case .name(let peer, let name): board.update(peer) { $0.hello = name }
            }
        }
    }

    private func send(_ message: [UInt8], to endpoint: Endpoint) {
        timestamps.extend(beyond: machine.greatestTimestamp)
        for place in 0..<sockets.count where sockets[place].isIPv6 == endpoint.address.isIPv6 {
            if sockets[place].send(message, to: endpoint) != 0 { drops.count(.sendFailed) }
            return
        }
        drops.count(.noEndpoint)
    }

    private func install(_ installation: PairInstallation) {
        let counters = lanes.map { _ in SessionCounters() }
        pairs[installation.localIndex] = LanePair(
            peer: installation.peer,
            counters: counters,
            lanesToInstall: lanes.count,
            lanesToRetire: lanes.count
        )
        for (number, lane) in lanes.enumerated() {
            let parameters = SessionParameters(
                peer: installation.peer,
                localIndex: installation.localIndex,
                remoteIndex: installation.remoteIndex,
                keys: installation.keys,
                isInitiator: installation.isInitiator,
                createdAt: installation.createdAt,
                counters: counters[number]
            )
            lane.post(.install(parameters))
        }
    }
}
