public import VXCrypto
public import VXDataPlane
import VXWire

/// Two lanes in memory with `peers` sessions between them, as a hub sees as many peers: session i of the near lane is
/// session i of the far one. Both know one station behind each peer, and count what they do; nothing is sent anywhere.
///
/// All work is done in calls for many packets, so that what a caller measures is not the call.
public final class GatewayPair {
    /// How many peers each lane has.
    public let peers: Int
    private var near: VTEP
    private var far: VTEP
    private let nearCounters: [PeerCounters]
    private let now = Instant(nanoseconds: 1_000_000_000)
    /// The peer that the next packet is for.
    private var turn = 0
    private let frame = UnsafeMutableRawPointer.allocate(byteCount: 128 << 10, alignment: 64)
    /// A TCP super-frame as a kernel hands it over.
    private let superFrame = SuperFrame()
    /// Datagrams that the far lane has sealed, each in a slot of its own, or one run of them.
    private let arrived = UnsafeMutableRawPointer.allocate(byteCount: 128 << 10, alignment: 64)
    private var arrivedLengths: [Int] = []

    /// Datagrams that `prepare` makes at most.
    public static let mostPrepared = 64
    private static let slot = 2048

    /// Makes both lanes, the sessions and the stations.
    public init(peers: Int, provider: BulkCipher.Provider, offloads: PacketOffloads) throws(BulkCipher.Refusal) {
        self.peers = peers
        nearCounters = (0..<peers).map { _ in PeerCounters() }
        let farCounters = (0..<peers).map { _ in PeerCounters() }
        near = Stations.near.lane(counters: nearCounters, cipher: try .make(provider), offloads: offloads)
        far = Stations.far.lane(counters: farCounters, cipher: try .make(provider), offloads: offloads)
        for peer in 0..<peers {
            let indices = (near: peer + 1, far: peer + 100_001)
            let keys = PeerKeys(peer: peer, lanes: 1)
            near.connect(
                peer,
                keys.near,
                counters: PairCounters(threads: 1, receiveLanes: 1),
                local: indices.near,
                remote: indices.far,
                offloads: offloads,
                now: now
            )
            far.connect(
                peer,
                keys.far,
                counters: PairCounters(threads: 1, receiveLanes: 1),
                local: indices.far,
                remote: indices.near,
                offloads: offloads,
                now: now
            )
        }
    }

    deinit {
        frame.deallocate()
        arrived.deallocate()
    }

    /// The near lane forwards frames to the peers in turn: look-up, header, seal, batch.
    public func forward(_ packets: Int, size: Int) {
        for _ in 0..<packets {
            // What was sealed is written anew, as a read from a device does.
            write(to: Stations.near.behind(turn), from: 0x0200_0000_0001, size: size)
            send(VirtioNetHeader(), count: size)
            turn = turn + 1 == peers ? 0 : turn + 1
        }
        near.sealOpenDatagram(now: now)
        near.removeOutgoing()
    }

    /// The near lane cuts TCP super-frames for its first peer into segments, and seals them.
    public func forwardSuperFrames(_ count: Int) {
        for _ in 0..<count {
            superFrame.write(to: frame + VTEP.headroom, destination: Stations.near.behind(0))
            send(superFrame.offload, count: superFrame.count)
        }
        near.removeOutgoing()
    }

    private func send(_ offload: VirtioNetHeader, count: Int) {
        var progress = near.forward(frame + VTEP.headroom, count: count, offload: offload, network: 0, now: now)
        while progress == .batchFull {
            near.removeOutgoing()
            progress = near.resume(now: now)
        }
    }

    /// The far lane seals frames from the peers in turn, for `receive`.
    public func prepare(_ packets: Int, size: Int) {
        precondition(packets <= Self.mostPrepared, "there are \(Self.mostPrepared) slots")
        arrivedLengths.removeAll(keepingCapacity: true)
        for place in 0..<packets {
            write(to: Stations.far.behind(turn), from: Stations.near.behind(turn), size: size)
            _ = far.forward(frame + VTEP.headroom, count: size, network: 0, now: now)
            far.sealOpenDatagram(now: now)
            let run = far.outgoing[0]
            (arrived + place * Self.slot).copyMemory(from: run.base, byteCount: run.count)
            arrivedLengths.append(run.count)
            far.removeOutgoing()
            turn = turn + 1 == peers ? 0 : turn + 1
        }
    }

    /// The near lane takes what was prepared: look-up, window, open, admission, learning, delivery.
    public func receive() {
        for (place, length) in arrivedLengths.enumerated() {
            take(arrived + place * Self.slot, count: length, segmentSize: 0)
        }
        empty()
    }

    /// The far lane cuts and seals one super-frame, for `receiveRun`.
    /// - Returns: how many segments it became.
    public func prepareRun() -> Int {
        superFrame.write(to: frame + VTEP.headroom, destination: Stations.far.behind(0))
        _ = far.forward(
            frame + VTEP.headroom,
            count: superFrame.count,
            offload: superFrame.offload,
            network: 0,
            now: now
        )
        let run = far.outgoing[0]
        arrived.copyMemory(from: run.base, byteCount: run.count)
        arrivedLengths = [run.count, run.segmentSize]
        defer { far.removeOutgoing() }
        return run.segments
    }

    /// The near lane opens the run that was prepared and coalesces it.
    /// - Returns: how many frames and super-frames came out.
    public func receiveRun() -> Int {
        take(arrived, count: arrivedLengths[0], segmentSize: arrivedLengths[1])
        near.finishDelivered()
        defer { near.removeDelivered() }
        return near.delivered.count
    }

    private func take(_ run: UnsafeMutableRawPointer, count: Int, segmentSize: Int) {
        if !near.canReceive { empty() }
        near.receiveSealed(run, count: count, segmentSize: segmentSize, from: Stations.endpoint, now: now)
    }

    private func empty() {
        near.finishDelivered()
        near.removeDelivered()
    }

    /// Frames that the near lane has sealed so far.
    public var sealed: Int { nearCounters.reduce(0) { $0 + Int($1.sentFrames) } }
    /// Frames that the near lane has opened and delivered so far.
    public var delivered: Int { nearCounters.reduce(0) { $0 + Int($1.receivedFrames) } }

    private func write(to destination: UInt64, from source: UInt64, size: Int) {
        let start = frame + VTEP.headroom
        start.initializeMemory(as: UInt8.self, repeating: 0x5a, count: size)
        start.storeAddress(destination, at: 0)
        start.storeAddress(source, at: 6)
        // An EtherType for local experiments (IEEE 802).
        start.storeBytes(of: UInt16(0x88b5).bigEndian, toByteOffset: 12, as: UInt16.self)
    }
}
