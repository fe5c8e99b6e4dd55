public import VXDataPlane
public import VXHandshake
public import VXLinux
import VXWire

/// What a reload changes of networks and peers, for all threads.
public struct RuntimeChange: Sendable {
    /// One for each lane, since the peers' counters are a lane's own: everything but the peers that go, which are members of no
    /// network here.
    public var lanes: [TopologyChange]
    /// One for each lane: the peers that go, once their pairs have ended.
    public var departures: [TopologyChange]
    /// The sealed peers that come, change and go.
    public var handshake = HandshakeChange()
    /// The largest frame of any network's device.
    public var largestFrame: Int
    /// No network is plaintext any more.
    public var closesPlaintext = false

    /// - Parameters:
    ///   - lanes: how many there are.
    ///   - peerCapacity: how many peers there may be from now on.
    ///   - largestFrame: of any network's device.
    public init(lanes: Int, peerCapacity: Int, largestFrame: Int) {
        self.lanes = Array(repeating: TopologyChange(peerCapacity: peerCapacity), count: lanes)
        departures = self.lanes
        self.largestFrame = largestFrame
    }
}

/// The queues of new networks' devices on their way to the lanes.
public struct NewDevices: ~Copyable, Sendable {
    private var handovers: [[(network: Int, queue: QueueHandover)]]

    /// None yet.
    public init(lanes: Int) { handovers = Array(repeating: [], count: lanes) }

    /// Adds a network's device.
    /// - Parameters:
    ///   - network: its place.
    ///   - queues: as many as there are lanes.
    public mutating func add(_ network: Int, _ queues: consuming OwnedArray<TAPDevice>) {
        precondition(queues.count == handovers.count, "each lane has a queue")
        while let queue = queues.takeLast() {
            handovers[queues.count].append((network, QueueHandover(queue, generation: 0)))
        }
    }

    fileprivate consuming func take() -> [[(network: Int, queue: QueueHandover)]] { handovers }
}

/// The queues of devices whose networks are gone. The kernel removes each device with its last queue, and takes its time: let
/// this go where nobody is kept waiting.
public struct FormerDevices: Sendable {
    private let queues: [QueueHandover]

    fileprivate init(queues: [QueueHandover]) { self.queues = queues }

    /// Closes the queues, on this thread.
    public func close() { for queue in queues { _ = queue.take() } }
}

extension Runtime {
    /// Takes over another set of networks and peers, in three steps: the lanes learn of what is new and let go of what is no
    /// longer in any network; the handshake thread ends the sessions of peers that go, and calls those that come; the lanes
    /// forget the peers that are gone. When it returns every lane has passed on: places and indices that became free may be
    /// used again.
    /// - Returns: the devices that go, once what is returned is let go.
    public func apply(_ change: RuntimeChange, devices: consuming NewDevices) async -> FormerDevices {
        let former = await reconfigure(change.lanes, queues: devices.take(), closesPlaintext: change.closesPlaintext)
        let (handshake, largestFrame) = (change.handshake, change.largestFrame)
        await ask { $0.apply(handshake, largestFrame: largestFrame) }
        if change.departures.contains(where: { !$0.peers.isEmpty }) {
            _ = await reconfigure(change.departures, queues: change.departures.map { _ in [] }, closesPlaintext: false)
        }
        return FormerDevices(queues: former)
    }

    private func reconfigure(
        _ changes: [TopologyChange],
        queues: [[(network: Int, queue: QueueHandover)]],
        closesPlaintext: Bool
    ) async -> [QueueHandover] {
        await withCheckedContinuation { continuation in
            let barrier = LaneBarrier(lanes: lanes.count) { continuation.resume(returning: $0) }
            for (number, lane) in lanes.enumerated() {
                let change = LaneChange(
                    changes[number],
                    queues: queues[number],
                    closesPlaintext: closesPlaintext,
                    barrier: barrier
                )
                if !lane.mailbox.post(.reconfigure(change)) { change.acknowledge() }
            }
        }
    }
}
