import Testing
import VXCrypto
import VXDataPlane
import VXWire

/// Lanes of one session between a node with three and a node with two, in memory.
@Suite final class LaneTests {
    private final class Lane {
        var vtep: VTEP

        init(_ vtep: consuming VTEP) { self.vtep = vtep }
    }

    private static let address = IPAddress.v4(IPv4Address(0xc000_0201))
    private static let listen = Endpoint(address: address, port: 47890)
    private let left: [Lane]
    private let right: [Lane]
    private let rings = HandoverRings(threads: 2)
    private let counters = PairCounters(threads: 2, receiveLanes: 3)
    private let slot = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 64)
    private let now = Instant(nanoseconds: 1_000_000_000)

    init() {
        let (first, second) = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
        func keys(_ send: [UInt8], _ receive: [UInt8], _ lanes: (Int, Int)) -> TransportKeySet {
            send.withUnsafeBytes { send in
                receive.withUnsafeBytes {
                    TransportKeySet(send: send, receive: $0, sendLanes: lanes.0, receiveLanes: lanes.1)
                }
            }
        }
        left = Self.lanes(3, roaming: true)
        right = Self.lanes(2, roaming: false)
        for lane in right { lane.vtep.connect(rings) }
        let others = PairCounters(threads: 3, receiveLanes: 2)
        install(left, 100, 200, keys(first, second, (3, 2)), isInitiator: true, others)
        install(right, 200, 100, keys(second, first, (2, 3)), isInitiator: false, counters)
        for lane in left { lane.vtep.activate(ReceiverIndex(100), announce: false, now: now) }
    }

    deinit { slot.deallocate() }

    private static func lanes(_ threads: Int, roaming: Bool) -> [Lane] {
        let network = NetworkDefinition(
            vni: VNI(truncating: 42),
            mode: .sealed,
            learning: true,
            maximumFrame: 1522,
            members: [PeerIndex(0)],
            forwarding: ForwardingDatabase()
        )
        return (0..<threads).map { lane in
            let peer = PeerDefinition(isPlaintext: false, endpoint: listen, roaming: roaming, counters: PeerCounters())
            return Lane(
                VTEP(
                    lane: lane,
                    threads: threads,
                    networks: [network],
                    peers: [peer],
                    cipher: .libsodium(),
                    drops: DropCounters()
                )
            )
        }
    }

    private func install(
        _ lanes: [Lane],
        _ local: UInt32,
        _ remote: UInt32,
        _ keys: TransportKeySet,
        isInitiator: Bool,
        _ counters: PairCounters
    ) {
        let parameters = SessionParameters(
            peer: PeerIndex(0),
            localIndex: ReceiverIndex(local),
            remoteIndex: ReceiverIndex(remote),
            keys: keys,
            isInitiator: isInitiator,
            features: 0,
            createdAt: now,
            counters: counters
        )
        for lane in lanes { lane.vtep.install(parameters) }
    }

    private func frame(_ number: UInt8) -> [UInt8] {
        [UInt8](repeating: 0xff, count: 6) + [2, 0, 0, 0, 0, 1, 0x88, 0xb5, number] + [UInt8](repeating: 0, count: 50)
    }

    /// What a lane of the left node makes of a frame, and which socket it leaves from.
    private func datagram(of lane: Int, _ number: UInt8) -> (bytes: [UInt8], path: OutgoingPath) {
        let frame = frame(number)
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        _ = left[lane].vtep.forward(slot + VTEP.headroom, count: frame.count, network: 0, now: now)
        left[lane].vtep.sealOpenDatagram(now: now)
        defer { left[lane].vtep.removeOutgoing() }
        let run = left[lane].vtep.outgoing[0]
        return ([UInt8](run.datagram(0)), run.path)
    }

    private func receive(_ bytes: [UInt8], step: Int = 0, by thread: Int, port: UInt16 = 47890) -> [[UInt8]] {
        slot.copyMemory(from: bytes, byteCount: bytes.count)
        let source = Endpoint(address: Self.address, port: port)
        right[thread].vtep.receiveSealed(slot, count: bytes.count, segmentSize: step, from: source, now: now)
        return delivered(by: thread)
    }

    private func delivered(by thread: Int) -> [[UInt8]] {
        right[thread].vtep.finishDelivered()
        defer { right[thread].vtep.removeDelivered() }
        return (0..<right[thread].vtep.delivered.count).map { place in
            right[thread].vtep.delivered.pieces(of: place).dropFirst().flatMap {
                [UInt8](UnsafeRawBufferPointer(start: $0.base, count: $0.count))
            }
        }
    }

    @Test("a run with lanes of two threads: each opens its own, the report has a line for each lane")
    func mixedRun() throws {
        let datagrams = (0..<3).map { datagram(of: $0, UInt8($0)).bytes }
        #expect(Set(datagrams.map(\.count)).count == 1)
        #expect(receive(datagrams.flatMap { $0 }, step: datagrams[0].count, by: 0) == [frame(0), frame(2)])
        #expect(right[0].vtep.handovers[0] == 1 && right[0].vtep.takeThreadsToWake() == 0b10)
        #expect(right[0].vtep.takeThreadsToWake() == 0)
        var position = 0
        let handed = try #require(rings.ring(from: 0, to: 1).next(&position))
        let bytes = [UInt8](UnsafeRawBufferPointer(start: handed.base, count: handed.count))
        #expect(bytes == datagrams[1], "still sealed")
        right[1].vtep.receiveSealed(handed.base, count: handed.count, segmentSize: 0, from: handed.source, now: now)
        #expect(delivered(by: 1) == [frame(1)])
        #expect(counters.report == [1, 1, 1].map { .init(highestCounter: 0, received: $0) })
        // The same again, by whatever thread: replays.
        for thread in 0..<2 { #expect(receive(datagrams[thread], by: thread).isEmpty) }
        #expect(right.map { $0.vtep.drops[.replayed] } == [1, 1])
    }

    @Test("without room in the ring: dropped and counted; a lane that was not announced is nobody's")
    func refused() {
        let bytes = datagram(of: 1, 7).bytes
        var handed: UInt64 = 0
        while right[0].vtep.drops[.laneHandover] == 0, handed < 100_000 {
            _ = receive(bytes, by: 0)
            handed += 1
        }
        #expect(right[0].vtep.handovers[0] == handed - 1)
        var forged = bytes
        forged[1] = 3
        for thread in 0..<2 { #expect(receive(forged, by: thread).isEmpty) }
        #expect(right.map { $0.vtep.drops[.laneOutOfRange] } == [1, 1])
    }

    @Test("a peer that may not roam: lanes above 0 come from any port of its address, lane 0 from its listen port")
    func sources() {
        #expect(receive(datagram(of: 1, 1).bytes, by: 1, port: 50_001) == [frame(1)])
        #expect(receive(datagram(of: 2, 2).bytes, by: 0, port: 50_002) == [frame(2)])
        #expect(receive(datagram(of: 0, 0).bytes, by: 0, port: 50_000).isEmpty)
        #expect(right[0].vtep.drops[.sourceMismatch] == 1)
        for lane in right {
            for event in lane.vtep.takeEvents() {
                guard case .confirmed(_, _, let source) = event else { continue }
                #expect(source == nil, "only lane 0 shows where the peer listens")
            }
        }
    }

    @Test("a lane leaves from its own port when it is told to, and a trial leaves everything else where it was")
    func paths() {
        #expect(datagram(of: 1, 1).path == .sealed)
        left[1].vtep.setPort(isOwn: true, of: PeerIndex(0))
        #expect(datagram(of: 1, 1).path == .sealedFromOwnPort)
        left[1].vtep.setPort(isOwn: false, of: PeerIndex(0))
        left[1].vtep.tryOwnPort(towards: PeerIndex(0), count: 3, now: now)
        let runs = (0..<left[1].vtep.outgoing.count).map { left[1].vtep.outgoing[$0] }
        #expect(runs.map(\.path) == [.sealedFromOwnPort, .sealed] && runs.map(\.segments) == [3, 1])
        left[1].vtep.removeOutgoing()
        #expect(datagram(of: 1, 1).path == .sealed)
    }
}
