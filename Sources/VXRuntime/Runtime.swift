public import VXCrypto
public import VXDataPlane
public import VXHandshake
public import VXLinux
public import VXWire

/// The threads of a node: one handshake thread and one thread for each lane.
public final class Runtime: Sendable {
    /// What the handshake thread knows of the peers.
    public let board: StatusBoard
    /// Which offloads are in use.
    public let offloads: OffloadBoard
    let handshake: HandshakeLoop
    let lanes: [Lane]

    /// Prepares the threads; nothing runs yet.
    /// - Parameters:
    ///   - machine: the handshake side, not started.
    ///   - handshakeSockets: the first socket of each family's group.
    ///   - topologies: networks and peers as each lane sees them: the peers' counters are a lane's own.
    ///   - ports: the descriptors of as many lanes.
    ///   - services: what the handshake thread uses of the daemon.
    ///   - losses: where lanes tell of devices that somebody removed.
    ///   - board: where peers' states are shown.
    ///   - offloads: what was found at start.
    public init(
        machine: consuming HandshakeMachine,
        handshakeSockets: consuming OwnedArray<UDPSocket>,
        topologies: [LaneTopology],
        ports: consuming OwnedArray<LanePorts>,
        services: HandshakeServices,
        losses: Mailbox<DeviceLoss>,
        board: StatusBoard,
        offloads: OffloadBoard
    ) throws(SystemCallError) {
        self.board = board
        self.offloads = offloads
        precondition(topologies.count == ports.count && !topologies.isEmpty, "each lane has a topology and ports")
        handshake = try HandshakeLoop(
            machine: machine,
            sockets: handshakeSockets,
            services: services,
            largestFrame: topologies[0].networks.map(\.maximumFrame).max() ?? 1514,
            board: board
        )
        var lanes: [Lane] = []
        while let last = ports.takeLast() {
            let number = ports.count
            let lane = try Lane(
                number: number,
                topology: topologies[number],
                ports: last,
                handshake: handshake.mailbox,
                losses: losses,
                board: offloads
            )
            lanes.insert(lane, at: 0)
        }
        self.lanes = lanes
        let mailboxes = lanes.map(\.mailbox)
        let rings = HandoverRings(threads: lanes.count)
        for (number, lane) in lanes.enumerated() { lane.connect(number: number, rings: rings, lanes: mailboxes) }
        handshake.connect(mailboxes)
    }

    /// Runs all threads until `stop`, and returns when they have ended. Blocks its thread.
    public func run() {
        let threads =
            lanes.enumerated().map { number, lane in RuntimeThread(name: Self.laneName(number)) { lane.run() } }
            + [RuntimeThread(name: Self.handshakeName) { [handshake] in handshake.run() }]
        for thread in threads { thread.join() }
    }

    /// Gives each lane its queue of a device that was made again. From any thread.
    /// - Parameters:
    ///   - network: the network's place.
    ///   - queues: as many as there are lanes.
    ///   - generation: how many times the device was made again, this time included.
    public func replaceDevice(of network: Int, by queues: consuming OwnedArray<TAPDevice>, generation: Int) {
        precondition(queues.count == lanes.count, "each lane has a queue")
        while let queue = queues.takeLast() {
            let handover = QueueHandover(queue, generation: generation)
            lanes[queues.count].mailbox.post(.setDevice(network: network, handover))
        }
    }

    /// Says goodbye to the peers and ends the threads. From any thread.
    public func stop() { handshake.mailbox.post(.stop) }

    /// Starts a new handshake with a peer. From any thread.
    public func rekey(_ peer: PeerIndex) { handshake.mailbox.post(.rekey(peer)) }

    /// Takes the address that the configured name of the peer with this configured key stands for now. From any thread.
    public func resolved(_ peer: PeerIndex, _ key: PublicKey, to endpoint: Endpoint) {
        handshake.mailbox.post(.resolved(peer, key, endpoint))
    }

    /// Opens a rotation of this node's identity.
    public func rotateIdentity(overlap: Interval) async -> RotationOutcome {
        await ask { $0.rotateIdentity(overlap: overlap) }
    }

    /// Starts the rotation of a peer's preshared key.
    public func rotatePSK(with peer: PeerIndex) async -> RotationOutcome { await ask { $0.rotatePSK(with: peer) } }

    /// Takes `key` for the peer's.
    public func accept(_ key: PublicKey, of peer: PeerIndex) async -> RotationOutcome {
        await ask { $0.accept(key, of: peer) }
    }

    /// Goes back to what the configuration says of a peer.
    public func forget(_ peer: PeerIndex) async -> RotationOutcome { await ask { $0.forget(peer) } }

    /// Asks a peer something over its session, and waits for the answer.
    /// - Parameter timeout: when it counts as lost.
    public func inquire(_ inquiry: Inquiry, of peer: PeerIndex, timeout: Interval) async -> PingOutcome {
        await withCheckedContinuation { continuation in
            let isTaken = handshake.mailbox.post(
                .ask { loop in
                    loop.inquire(inquiry, of: peer, timeout: timeout) { continuation.resume(returning: $0) }
                }
            )
            if !isTaken { continuation.resume(returning: .lost) }
        }
    }

    /// Where the rotations stand.
    public func rotationSnapshot() async -> RotationSnapshot { await ask { $0.rotationSnapshot } }

    func ask<Answer: Sendable>(_ body: @escaping @Sendable (HandshakeLoop) -> Answer) async -> Answer {
        await withCheckedContinuation { continuation in
            let isTaken = handshake.mailbox.post(.ask { continuation.resume(returning: body($0)) })
            // The thread has ended, so that nobody else uses what it had.
            if !isTaken { continuation.resume(returning: body(handshake)) }
        }
    }

    /// Datagrams that a lane thread received and handed to the one that owns their lane. From any thread.
    public var handovers: UInt64 { lanes.reduce(0) { $0 + $1.handovers[0] } }

    /// The same of one lane's thread.
    public func handovers(lane: Int) -> UInt64 { lanes[lane].handovers[0] }

    /// What one lane thread has dropped. From any thread.
    public func drops(ofLane number: Int) -> DropCounters { lanes[number].drops }

    /// The sum of every thread's drops. From any thread.
    public func drops(_ reason: DropReason) -> UInt64 {
        lanes.reduce(handshake.drops[reason]) { $0 + $1.drops[reason] }
    }
}
