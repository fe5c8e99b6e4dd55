import VXCrypto
import VXDataPlane
import VXHandshake
import VXWire

/// What survives a crash of a gateway.
struct SimulatedDisk {
    var key: StaticKeyPair
    var successor: StaticKeyPair?
    var state = DurableState()
    var timestamp = TAI64N(seconds: 0, nanoseconds: 0)
}

/// One lane of a gateway.
final class SimulatedLane {
    var vtep: VTEP

    init(_ vtep: consuming VTEP) { self.vtep = vtep }
}

/// One gateway: the real handshake and the real packet path, with lanes that do at once what they are asked, and a disk
/// that may fail or be cut off.
final class SimulatedGateway {
    let number: Int
    let count: Int
    let configuredKeys: [PublicKey]
    let endpoint: Endpoint
    var disk: SimulatedDisk
    /// Seconds that the clock is off by.
    var skew: Int64 = 0
    private(set) var isUp = false
    private var machine: HandshakeMachine
    private var lanes: [SimulatedLane]
    private var rings: HandoverRings
    /// How far each ring is read.
    private var positions: [Int]
    private var pairs: [ReceiverIndex: PairCounters] = [:]
    private let slot = UnsafeMutableRawPointer.allocate(byteCount: 16_384, alignment: 64)

    /// What leaves and what arrives, taken by the simulator after every call.
    var sent: [(datagram: [UInt8], from: Endpoint, to: Endpoint)] = []
    var delivered: [(frame: [UInt8], network: Int)] = []
    var notices: [RotationNotice] = []
    var drops: [DropReason: Int] = [:]
    private(set) var states: [PeerIndex: PeerState] = [:]
    private var endpoints: [PeerIndex: Endpoint] = [:]
    private var ports: [PeerIndex: [LanePort]] = [:]
    var laneCount: Int { lanes.count }
    /// Others see it at another port than its listen port.
    var isTranslated = false
    /// The key file cannot be replaced.
    var refusesKeyFile = false
    /// When it was tried.
    private(set) var promotions: [Instant] = []
    /// Called at every step that a crash may come before or after; true is a crash.
    var crashes: () -> Bool = { false }

    static let networks: [UInt32] = [42, 43]

    private let randomness: SeededRandomness

    /// Of every peer.
    private let keepalive: Interval?

    init(
        number: Int,
        keys: [StaticKeyPair],
        randomness: SeededRandomness,
        lanes count: Int,
        keepalive: Interval? = nil
    ) {
        self.randomness = randomness
        self.keepalive = keepalive
        self.number = number
        self.count = keys.count
        configuredKeys = keys.map(\.publicKey)
        endpoint = Self.endpoint(of: number)
        disk = SimulatedDisk(key: keys[number])
        machine = Self.machine(disk, number: number, configuredKeys, randomness, lanes: count, keepalive)
        lanes = Self.lanes(count, of: number, among: keys.count)
        rings = HandoverRings(threads: count, capacity: 1 << 17)
        positions = Array(repeating: 0, count: count * count)
        connectLanes()
    }

    private func connectLanes() { for lane in lanes { lane.vtep.connect(rings) } }

    deinit { slot.deallocate() }

    static func endpoint(of number: Int) -> Endpoint {
        Endpoint(address: .v4(IPv4Address(0xc000_0200 + UInt32(number) + 1)), port: 47890)
    }

    /// The port that a lane's datagrams have for source, where it is not the listen port.
    private func source(of lane: Int, _ path: OutgoingPath) -> Endpoint {
        if case .sealedFromOwnPort = path { return Endpoint(address: endpoint.address, port: 50_000 + UInt16(lane)) }
        return endpoint
    }

    static func address(of number: Int) -> [UInt8] { [2, 0, 0, 0, 0, UInt8(number)] }

    /// Gateway `number` knows gateway `other` at this place.
    private func index(of other: Int) -> PeerIndex { PeerIndex(UInt16(other < number ? other : other - 1)) }

    private static func others(_ number: Int, _ count: Int) -> [Int] { (0..<count).filter { $0 != number } }

    private static func machine(
        _ disk: SimulatedDisk,
        number: Int,
        _ keys: [PublicKey],
        _ randomness: SeededRandomness,
        lanes: Int,
        _ keepalive: Interval?
    ) -> HandshakeMachine {
        let peers = others(number, keys.count).enumerated().map { place, other in
            HandshakePeer(
                index: PeerIndex(UInt16(place)),
                publicKey: keys[other],
                presharedKey: .none,
                endpoint: endpoint(of: other),
                roaming: true,
                keepalive: keepalive
            )
        }
        return HandshakeMachine(
            identity: disk.key,
            successor: disk.state.rotation == nil ? nil : disk.successor,
            name: "node-\(number)",
            lanes: UInt8(lanes),
            peers: peers,
            state: disk.state,
            lastTimestamp: disk.timestamp,
            randomness: randomness.handshake
        )
    }

    /// All take part in 42; in 43 gateways 0 and 1 alone let each other in.
    private static func lanes(_ threads: Int, of number: Int, among count: Int) -> [SimulatedLane] {
        let others = others(number, count)
        let definitions = networks.enumerated().map { place, vni in
            let members = others.enumerated().filter { place == 0 || ($1 < 2 && number < 2) }
            // Tables live as long as the process, and thousands of gateways are made here.
            let database = ForwardingDatabase(limit: 8, peerCount: others.count, permanent: members.count)
            for (index, other) in members {
                let mac = address(of: other).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                _ = database.insertPermanent(MACAddress(mac), peer: PeerIndex(UInt16(index)))
            }
            return NetworkDefinition(
                vni: VNI(truncating: vni),
                mode: .sealed,
                learning: false,
                maximumFrame: 1522,
                members: members.map { PeerIndex(UInt16($0.offset)) },
                forwarding: database
            )
        }
        let peers = others.map {
            PeerDefinition(
                isPlaintext: false,
                endpoint: endpoint(of: $0),
                roaming: true,
                counters: PeerCounters()
            )
        }
        return (0..<threads).map { lane in
            SimulatedLane(
                VTEP(
                    lane: lane,
                    threads: threads,
                    networks: definitions,
                    peers: peers,
                    cipher: .libsodium(),
                    drops: DropCounters()
                )
            )
        }
    }

    // MARK: - Life

    func start(now: Now) {
        // As the daemon does: a rotation that a crash cut between the rename and the state is over.
        if let rotation = disk.state.rotation, rotation.newKey == disk.key.publicKey { disk.state.rotation = nil }
        if disk.state.rotation == nil { disk.successor = nil }
        let threads = lanes.count
        machine = Self.machine(disk, number: number, configuredKeys, randomness, lanes: threads, keepalive)
        lanes = Self.lanes(threads, of: number, among: count)
        rings = HandoverRings(threads: threads, capacity: 1 << 17)
        positions = Array(repeating: 0, count: threads * threads)
        connectLanes()
        pairs = [:]
        states = [:]
        isUp = true
        machine.start(now: now.instant)
        settle(now)
    }

    func crash() {
        isUp = false
        sent = []
    }

    func stop(now: Now) {
        machine.handle(.shutdown, now: now)
        settle(now)
        isUp = false
    }

    func isEstablished(with other: Int) -> Bool { states[index(of: other)] == .established }
    /// From which port each lane is sent to the other.
    func lanePorts(towards other: Int) -> [LanePort] { ports[index(of: other)] ?? [] }
    /// Where the other is, by what was heard of it; nil when only the configuration has spoken.
    func heardFrom(_ other: Int) -> Endpoint? { endpoints[index(of: other)] }
    func isContested(_ other: Int) -> Bool { states[index(of: other)] == .contested }
    /// Every reason that anything was dropped for since the last start.
    var dropped: [DropReason: Int] {
        DropReason.allCases.reduce(into: drops) { all, reason in
            let count = lanes.reduce(0) { $0 + Int($1.vtep.drops[reason]) }
            if count > 0 { all[reason, default: 0] += count }
        }
    }
    var rotation: RotationSnapshot { machine.rotationSnapshot }

    // MARK: - What happens to it

    func tick(now: Now) {
        guard isUp else { return }
        for (index, counters) in pairs {
            var activity = PairActivity()
            func latest(_ value: (SessionCounters) -> UInt64) -> Instant? {
                let value = lanes.indices.map { value(counters.session(thread: $0)) }.max() ?? 0
                return value == 0 ? nil : Instant(nanoseconds: value)
            }
            activity.lastSent = latest(\.lastSent)
            activity.lastDataSent = latest(\.lastDataSent)
            activity.lastReceived = latest(\.lastReceived)
            activity.lastDataReceived = latest(\.lastDataReceived)
            activity.sendCounters = lanes.indices.map { counters.session(thread: $0).sendCounter }
            machine.handle(.activity(index, activity), now: now)
        }
        machine.handleTimeout(now: now)
        settle(now)
    }

    func receive(_ datagram: [UInt8], from source: Endpoint, now: Now) {
        guard isUp else { return }
        if datagram.first == MessageType.transport.rawValue {
            slot.copyMemory(from: datagram, byteCount: datagram.count)
            // As the steering program does; but some arrive elsewhere and are handed over.
            let owner = datagram.count > 1 ? Int(datagram[1]) : 0
            let isAstray = datagram.last.map { $0 % 4 == 0 } ?? false
            let lane = lanes[(isAstray ? owner + 1 : owner) % lanes.count]
            lane.vtep.receiveSealed(slot, count: datagram.count, segmentSize: 0, from: source, now: now.instant)
            takeHandedOver(now)
        } else {
            machine.handleDatagram(datagram, from: source, now: now)
        }
        settle(now)
    }

    private func takeHandedOver(_ now: Now) {
        for writer in lanes.indices {
            for reader in lanes.indices {
                let ring = rings.ring(from: writer, to: reader)
                let place = writer * lanes.count + reader
                while let datagram = ring.next(&positions[place]) {
                    lanes[reader].vtep.receiveSealed(
                        datagram.base,
                        count: datagram.count,
                        segmentSize: 0,
                        from: datagram.source,
                        now: now.instant
                    )
                }
                // What it delivers points into the ring.
                collectDelivered()
                ring.release(positions[place])
            }
        }
    }

    private func collectDelivered() {
        for lane in lanes {
            lane.vtep.finishDelivered()
            for place in 0..<lane.vtep.delivered.count {
                let pieces = lane.vtep.delivered.pieces(of: place).dropFirst()
                let bytes = pieces.flatMap { [UInt8](UnsafeRawBufferPointer(start: $0.base, count: $0.count)) }
                delivered.append((bytes, lane.vtep.delivered.network(of: place)))
            }
            lane.vtep.removeDelivered()
        }
    }

    /// Sends a frame of a flow, which picks the lane.
    func send(_ frame: [UInt8], network: Int, flow: Int, now: Now) {
        guard isUp else { return }
        let lane = lanes[flow % lanes.count]
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        var progress = lane.vtep.forward(slot + VTEP.headroom, count: frame.count, network: network, now: now.instant)
        while progress == .batchFull {
            flush(now)
            progress = lane.vtep.resume(now: now.instant)
        }
        settle(now)
    }

    func rotateSession(with other: Int, now: Now) {
        guard isUp else { return }
        machine.handle(.rekeyRequested(index(of: other)), now: now)
        settle(now)
    }

    func rotateIdentity(overlap: Interval, now: Now) {
        guard isUp, machine.rotationSnapshot.rotation == nil else { return }
        let key = randomness.keyPair()
        disk.successor = key
        if crashes() { return crash() }
        do { try machine.startRotation(to: key, overlap: overlap, now: now) } catch { return }
        settle(now)
    }

    func rotatePSK(with other: Int, now: Now) {
        guard isUp else { return }
        try? machine.startPSKRotation(with: index(of: other), now: now)
        settle(now)
    }

    func accept(_ key: PublicKey, of other: Int, now: Now) -> Bool {
        defer { settle(now) }
        return machine.accept(key, of: index(of: other), now: now)
    }

    /// Sends what a peer with a changed program might.
    func sendControl(_ message: [UInt8], to other: Int, now: Now) {
        _ = lanes[0].vtep.sendControl(message, to: index(of: other), now: now.instant)
        settle(now)
    }

    func erase(now: Now) {
        guard isUp else { return }
        for lane in lanes { lane.vtep.eraseAll() }
        pairs = [:]
        machine.handle(.erased, now: now)
        settle(now)
    }

    // MARK: - What it does

    private func settle(_ now: Now) {
        var again = true
        while again, isUp {
            again = false
            flush(now)
            collectDelivered()
            for lane in lanes {
                for event in lane.vtep.takeEvents() {
                    again = true
                    if case .confirmed(_, let peer, _) = event { drain(lane, peer, now) }
                    tell(event, now)
                }
            }
            while isUp, let action = machine.nextAction() {
                again = true
                carryOut(action, now)
            }
        }
        disk.timestamp = max(disk.timestamp, machine.greatestTimestamp.adding(seconds: 3600))
    }

    private func drain(_ lane: SimulatedLane, _ peer: PeerIndex, _ now: Now) {
        while lane.vtep.drainWaiting(peer, now: now.instant) == .batchFull { flush(now) }
    }

    private func flush(_ now: Now) {
        for (number, lane) in lanes.enumerated() {
            lane.vtep.sealOpenDatagram(now: now.instant)
            for place in 0..<lane.vtep.outgoing.count {
                let run = lane.vtep.outgoing[place]
                for segment in 0..<run.segments {
                    sent.append(([UInt8](run.datagram(segment)), source(of: number, run.path), run.endpoint))
                }
            }
            lane.vtep.removeOutgoing()
        }
    }

    private func tell(_ event: DataPlaneEvent, _ now: Now) {
        switch event {
        case .confirmed(let index, _, let source): machine.handle(.confirmed(index, from: source), now: now)
        case .handshakeNeeded(let peer): machine.handle(.handshakeNeeded(peer), now: now)
        case .endpointMoved(let peer, let endpoint): machine.handle(.endpointMoved(peer, to: endpoint), now: now)
        case .control(let peer, let index, let bytes): machine.handle(.control(peer, index, bytes), now: now)
        case .tripwire: break
        }
    }

    private func carryOut(_ action: HandshakeAction, _ now: Now) {
        switch action {
        case .send(let message, let target): sent.append((message, endpoint, target))
        case .install(let pair):
            let counters = PairCounters(threads: lanes.count, receiveLanes: pair.keys.receiveLanes)
            pairs[pair.localIndex] = counters
            let parameters = SessionParameters(
                peer: pair.peer,
                localIndex: pair.localIndex,
                remoteIndex: pair.remoteIndex,
                keys: pair.keys,
                isInitiator: pair.isInitiator,
                features: pair.features,
                createdAt: pair.createdAt,
                counters: counters
            )
            for lane in lanes { lane.vtep.install(parameters) }
            machine.handle(.installed(pair.localIndex), now: now)
        case .activate(let index, let peer, let announce):
            for (number, lane) in lanes.enumerated() {
                lane.vtep.activate(index, announce: announce && number == 0, now: now.instant)
                drain(lane, peer, now)
            }
        case .stopSending(let index, _): for lane in lanes { lane.vtep.stopSending(index) }
        case .retire(let index):
            for lane in lanes { lane.vtep.retire(index) }
            pairs[index] = nil
            machine.handle(.retired(index), now: now)
        case .keepalive(let peer): lanes[0].vtep.keepalive(peer, now: now.instant)
        case .control(let peer, let message): _ = lanes[0].vtep.sendControl(message, to: peer, now: now.instant)
        case .report(_, let index): _ = lanes[0].vtep.sendReport(of: index, now: now.instant)
        case .probe(let peer, let size, let identifier):
            _ = lanes[0].vtep.sendProbe(size: size, identifier: identifier, to: peer, now: now.instant)
        case .pathMTU(let peer, let bytes): for lane in lanes { lane.vtep.setPathMTU(bytes, of: peer) }
        case .dropWaiting(let peer): for lane in lanes { lane.vtep.dropWaiting(peer) }
        case .endpoint(let peer, let endpoint):
            endpoints[peer] = endpoint
            for lane in lanes { lane.vtep.setEndpoint(endpoint, of: peer) }
        case .observed(let peer, let observed):
            machine.handle(.addressObserved(peer, isOwn: observed == endpoint && !isTranslated), now: now)
        case .lanePorts(let peer, let ports):
            self.ports[peer] = ports
            for (lane, port) in zip(lanes, ports) { lane.vtep.setPort(isOwn: port == .own, of: peer) }
        case .checkLane(let peer, let lane, .keepalive): lanes[lane].vtep.keepalive(peer, now: now.instant)
        case .checkLane(let peer, let lane, .trial(let count)):
            lanes[lane].vtep.tryOwnPort(towards: peer, count: count, now: now.instant)
        case .established(let peer, _, _, _): machine.handle(.interfaceMTU(peer, 1500), now: now)
        case .peerState(let peer, let state): states[peer] = state
        case .notice(_, let notice): notices.append(notice)
        case .dropped(let reason): drops[reason, default: 0] += 1
        case .store(let state, let number):
            if crashes() { return crash() }
            disk.state = state
            if crashes() { return crash() }
            machine.handle(.stored(number, succeeded: true), now: now)
        case .promote(let key):
            if crashes() { return crash() }
            promotions.append(now.instant)
            if refusesKeyFile { return machine.handle(.promoted(succeeded: false), now: now) }
            if let successor = disk.successor, successor.publicKey == key { disk.key = successor }
            disk.successor = nil
            if crashes() { return crash() }
            machine.handle(.promoted(succeeded: true), now: now)
        case .reported, .name, .clock, .roundTrip, .echoed, .judge, .traced: break
        }
        flush(now)
    }
}
