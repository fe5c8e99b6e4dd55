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

/// One gateway: the real handshake and the real packet path, with a lane that does at once what it is asked, and a disk
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
    private var vtep: VTEP
    private var pairs: [ReceiverIndex: (peer: PeerIndex, counters: SessionCounters)] = [:]
    private let slot = UnsafeMutableRawPointer.allocate(byteCount: 16_384, alignment: 64)

    /// What leaves and what arrives, taken by the simulator after every call.
    var sent: [(datagram: [UInt8], to: Endpoint)] = []
    var delivered: [(frame: [UInt8], network: Int)] = []
    var notices: [RotationNotice] = []
    var drops: [DropReason: Int] = [:]
    private(set) var states: [PeerIndex: PeerState] = [:]
    private var endpoints: [PeerIndex: Endpoint] = [:]
    /// Called at every step that a crash may come before or after; true is a crash.
    var crashes: () -> Bool = { false }

    static let networks: [UInt32] = [42, 43]

    private let randomness: SeededRandomness

    init(number: Int, keys: [StaticKeyPair], randomness: SeededRandomness) {
        self.randomness = randomness
        self.number = number
        count = keys.count
        configuredKeys = keys.map(\.publicKey)
        endpoint = Self.endpoint(of: number)
        disk = SimulatedDisk(key: keys[number])
        machine = Self.machine(number: number, disk: disk, keys: configuredKeys, randomness: randomness)
        vtep = Self.vtep(number: number, count: keys.count)
    }

    deinit { slot.deallocate() }

    static func endpoint(of number: Int) -> Endpoint {
        Endpoint(address: .v4(IPv4Address(0xc000_0200 + UInt32(number) + 1)), port: 47890)
    }

    static func address(of number: Int) -> [UInt8] { [2, 0, 0, 0, 0, UInt8(number)] }

    /// Gateway `number` knows gateway `other` at this place.
    private func index(of other: Int) -> PeerIndex { PeerIndex(UInt16(other < number ? other : other - 1)) }

    private static func others(_ number: Int, _ count: Int) -> [Int] { (0..<count).filter { $0 != number } }

    private static func machine(
        number: Int,
        disk: SimulatedDisk,
        keys: [PublicKey],
        randomness: SeededRandomness
    ) -> HandshakeMachine {
        let peers = others(number, keys.count).enumerated().map { place, other in
            HandshakePeer(
                index: PeerIndex(UInt16(place)),
                publicKey: keys[other],
                presharedKey: .none,
                endpoint: endpoint(of: other),
                roaming: true,
                keepalive: nil
            )
        }
        return HandshakeMachine(
            identity: disk.key,
            successor: disk.state.rotation == nil ? nil : disk.successor,
            name: "node-\(number)",
            lanes: 1,
            peers: peers,
            state: disk.state,
            lastTimestamp: disk.timestamp,
            randomness: randomness.handshake
        )
    }

    /// All take part in 42; in 43 gateways 0 and 1 alone let each other in.
    private static func vtep(number: Int, count: Int) -> VTEP {
        let others = others(number, count)
        let definitions = networks.enumerated().map { place, vni in
            // Tables live as long as the process, and thousands of gateways are made here.
            let database = ForwardingDatabase(capacityBits: 6)
            let members = others.enumerated().filter { place == 0 || ($1 < 2 && number < 2) }
            for (index, other) in members {
                let mac = address(of: other).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                _ = database.insertStatic(MACAddress(mac), peer: PeerIndex(UInt16(index)))
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
        return VTEP(
            lane: 0,
            threads: 1,
            networks: definitions,
            peers: peers,
            cipher: .libsodium(),
            drops: DropCounters()
        )
    }

    // MARK: - Life

    func start(now: Now) {
        // As the daemon does: a rotation that a crash cut between the rename and the state is over.
        if let rotation = disk.state.rotation, rotation.newKey == disk.key.publicKey { disk.state.rotation = nil }
        if disk.state.rotation == nil { disk.successor = nil }
        machine = Self.machine(number: number, disk: disk, keys: configuredKeys, randomness: randomness)
        vtep = Self.vtep(number: number, count: count)
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
    /// Where the other is, by what was heard of it; nil when only the configuration has spoken.
    func heardFrom(_ other: Int) -> Endpoint? { endpoints[index(of: other)] }
    func isContested(_ other: Int) -> Bool { states[index(of: other)] == .contested }
    /// Every reason that anything was dropped for since the last start.
    var dropped: [DropReason: Int] {
        DropReason.allCases.reduce(into: drops) { all, reason in
            let count = Int(vtep.drops[reason])
            if count > 0 { all[reason, default: 0] += count }
        }
    }
    var rotation: RotationSnapshot { machine.rotationSnapshot }

    // MARK: - What happens to it

    func tick(now: Now) {
        guard isUp else { return }
        for (index, pair) in pairs {
            var activity = PairActivity()
            let counters = pair.counters
            func instant(_ value: UInt64) -> Instant? { value == 0 ? nil : Instant(nanoseconds: value) }
            activity.lastSent = instant(counters.lastSent)
            activity.lastDataSent = instant(counters.lastDataSent)
            activity.lastReceived = instant(counters.lastReceived)
            activity.lastDataReceived = instant(counters.lastDataReceived)
            activity.sendCounter = counters.sendCounter
            machine.handle(.activity(index, activity), now: now)
        }
        machine.handleTimeout(now: now)
        settle(now)
    }

    func receive(_ datagram: [UInt8], from source: Endpoint, now: Now) {
        guard isUp else { return }
        if datagram.first == MessageType.transport.rawValue {
            slot.copyMemory(from: datagram, byteCount: datagram.count)
            vtep.receiveSealed(slot, count: datagram.count, segmentSize: 0, from: source, now: now.instant)
        } else {
            machine.handleDatagram(datagram, from: source, now: now)
        }
        settle(now)
    }

    func send(_ frame: [UInt8], network: Int, now: Now) {
        guard isUp else { return }
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        var progress = vtep.forward(slot + VTEP.headroom, count: frame.count, network: network, now: now.instant)
        while progress == .batchFull {
            flush(now)
            progress = vtep.resume(now: now.instant)
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
        _ = vtep.sendControl(message, to: index(of: other), now: now.instant)
        settle(now)
    }

    func erase(now: Now) {
        guard isUp else { return }
        vtep.eraseAll()
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
            vtep.finishDelivered()
            for place in 0..<vtep.delivered.count {
                let pieces = vtep.delivered.pieces(of: place).dropFirst()
                let bytes = pieces.flatMap { [UInt8](UnsafeRawBufferPointer(start: $0.base, count: $0.count)) }
                delivered.append((bytes, vtep.delivered.network(of: place)))
            }
            vtep.removeDelivered()
            for event in vtep.takeEvents() {
                again = true
                if case .confirmed(_, let peer, _) = event { drain(peer, now) }
                tell(event, now)
            }
            while isUp, let action = machine.nextAction() {
                again = true
                carryOut(action, now)
            }
        }
        disk.timestamp = max(disk.timestamp, machine.greatestTimestamp.adding(seconds: 3600))
    }

    private func drain(_ peer: PeerIndex, _ now: Now) {
        while vtep.drainWaiting(peer, now: now.instant) == .batchFull { flush(now) }
    }

    private func flush(_ now: Now) {
        vtep.sealOpenDatagram(now: now.instant)
        for place in 0..<vtep.outgoing.count {
            let run = vtep.outgoing[place]
            for number in 0..<run.segments { sent.append(([UInt8](run.datagram(number)), run.endpoint)) }
        }
        vtep.removeOutgoing()
    }

    private func tell(_ event: DataPlaneEvent, _ now: Now) {
        switch event {
        case .confirmed(let index, _, let source): machine.handle(.confirmed(index, from: source), now: now)
        case .handshakeNeeded(let peer): machine.handle(.handshakeNeeded(peer), now: now)
        case .endpointMoved(let peer, let endpoint): machine.handle(.endpointMoved(peer, to: endpoint), now: now)
        case .control(let peer, let index, let bytes): machine.handle(.control(peer, index, bytes), now: now)
        }
    }

    private func carryOut(_ action: HandshakeAction, _ now: Now) {
        switch action {
        case .send(let message, let target): sent.append((message, target))
        case .install(let pair):
            let counters = SessionCounters()
            pairs[pair.localIndex] = (pair.peer, counters)
            vtep.install(
                SessionParameters(
                    peer: pair.peer,
                    localIndex: pair.localIndex,
                    remoteIndex: pair.remoteIndex,
                    keys: pair.keys,
                    isInitiator: pair.isInitiator,
                    features: pair.features,
                    createdAt: pair.createdAt,
                    counters: counters
                )
            )
            machine.handle(.installed(pair.localIndex), now: now)
        case .activate(let index, let peer, let announce):
            vtep.activate(index, announce: announce, now: now.instant)
            drain(peer, now)
        case .stopSending(let index, _): vtep.stopSending(index)
        case .retire(let index):
            vtep.retire(index)
            pairs[index] = nil
            machine.handle(.retired(index), now: now)
        case .keepalive(let peer): vtep.keepalive(peer, now: now.instant)
        case .control(let peer, let message): _ = vtep.sendControl(message, to: peer, now: now.instant)
        case .report(_, let index): _ = vtep.sendReport(of: index, now: now.instant)
        case .probe(let peer, let size, let identifier):
            _ = vtep.sendProbe(size: size, identifier: identifier, to: peer, now: now.instant)
        case .pathMTU(let peer, let bytes): vtep.setPathMTU(bytes, of: peer)
        case .dropWaiting(let peer): vtep.dropWaiting(peer)
        case .endpoint(let peer, let endpoint):
            endpoints[peer] = endpoint
            vtep.setEndpoint(endpoint, of: peer)
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
            if let successor = disk.successor, successor.publicKey == key { disk.key = successor }
            disk.successor = nil
            if crashes() { return crash() }
            machine.handle(.promoted(succeeded: true), now: now)
        case .reported, .name: break
        }
        flush(now)
    }
}
