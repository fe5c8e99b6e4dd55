import Testing
import VXCrypto
import VXDataPlane
import VXWire

/// Two lanes in memory with one session between them, each with one peer, VNI 42 for both and VNI 43 that the right one
/// does not let its peer into. Datagrams are copied from one's outgoing batch to the other by hand.
final class TwoGateways {
    static let leftMAC: [UInt8] = [2, 0, 0, 0, 0, 1]
    static let rightMAC: [UInt8] = [2, 0, 0, 0, 0, 2]
    static let broadcast = [UInt8](repeating: 0xff, count: 6)
    static let leftEndpoint = Endpoint(address: .v4(IPv4Address(0xc000_0201)), port: 47890)
    static let rightEndpoint = Endpoint(address: .v4(IPv4Address(0xc000_0202)), port: 47890)

    var left: VTEP
    var right: VTEP
    let leftFDB = ForwardingDatabase()
    let rightFDB = ForwardingDatabase()
    let rightNeighbors = NeighborTable(peerCount: 1, members: 1)
    /// What the right gateway counts of its peer, and of each network.
    let rightPeer = PeerCounters()
    let rightDrops = [NetworkDrops(), NetworkDrops()]
    /// Of the right node's session.
    private(set) var rightCounters = PairCounters(threads: 1, receiveLanes: 1)
    let slot = UnsafeMutableRawPointer.allocate(byteCount: 128 << 10, alignment: 64)
    var now = Instant(nanoseconds: 1_000_000_000)

    private let offloads: PacketOffloads

    /// - Parameters:
    ///   - binding: what the right gateway lets its peer claim to be.
    ///   - flood: what both flood.
    ///   - suppression: the right one answers ARP and neighbour discovery.
    ///   - bumRate: how much of it, in each network of each gateway by itself.
    ///   - cipher: the left gateway's.
    init(
        connected: Bool = true,
        offloads: PacketOffloads = PacketOffloads(),
        binding: PeerBinding? = nil,
        flood: FloodPolicy = .all,
        bumRate: Int? = nil,
        suppression: Bool = false,
        cipher: consuming BulkCipher = .libsodium()
    ) {
        self.offloads = offloads
        func make(
            _ databases: [ForwardingDatabase],
            members: [PeerIndex],
            endpoint: Endpoint,
            binding: PeerBinding?,
            neighbors: NeighborTable?,
            counters: PeerCounters,
            drops: [NetworkDrops],
            cipher: consuming BulkCipher
        ) -> VTEP {
            let networks = [42, 43].enumerated().map { place, vni in
                NetworkDefinition(
                    vni: VNI(truncating: UInt32(vni)),
                    mode: .sealed,
                    learning: true,
                    maximumFrame: 1522,
                    members: place == 0 ? [PeerIndex(0)] : members,
                    forwarding: databases[place],
                    flood: flood,
                    limiter: bumRate.map { FloodLimiter(rate: $0, peerCount: 1) },
                    neighbors: place == 0 ? neighbors : nil,
                    drops: drops[place]
                )
            }
            let peer = PeerDefinition(
                isPlaintext: false,
                endpoint: endpoint,
                roaming: true,
                counters: counters,
                binding: binding
            )
            return VTEP(
                lane: 0,
                threads: 1,
                networks: networks,
                peers: [peer],
                cipher: cipher,
                offloads: offloads,
                drops: DropCounters()
            )
        }
        left = make(
            [leftFDB, ForwardingDatabase()],
            members: [PeerIndex(0)],
            endpoint: Self.rightEndpoint,
            binding: nil,
            neighbors: nil,
            counters: PeerCounters(),
            drops: [NetworkDrops(), NetworkDrops()],
            cipher: cipher
        )
        right = make(
            [rightFDB, ForwardingDatabase()],
            members: [],
            endpoint: Self.leftEndpoint,
            binding: binding,
            neighbors: suppression ? rightNeighbors : nil,
            counters: rightPeer,
            drops: rightDrops,
            cipher: .libsodium()
        )
        if connected { connect() }
    }

    deinit { slot.deallocate() }

    func connect() {
        let (first, second) = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
        func keys(_ send: [UInt8], _ receive: [UInt8]) -> TransportKeySet {
            send.withUnsafeBytes { send in
                receive.withUnsafeBytes { TransportKeySet(send: send, receive: $0, sendLanes: 1, receiveLanes: 1) }
            }
        }
        func parameters(
            _ local: UInt32,
            _ remote: UInt32,
            _ keys: TransportKeySet,
            isInitiator: Bool,
            counters: PairCounters,
            epoch: UInt32
        ) -> SessionParameters {
            SessionParameters(
                peer: PeerIndex(0),
                localIndex: ReceiverIndex(local),
                remoteIndex: ReceiverIndex(remote),
                keys: keys,
                isInitiator: isInitiator,
                features: offloads.features,
                createdAt: now,
                counters: counters,
                epoch: epoch
            )
        }
        rightCounters = PairCounters(threads: 1, receiveLanes: 1)
        left.install(
            parameters(
                100,
                200,
                keys(first, second),
                isInitiator: true,
                counters: PairCounters(threads: 1, receiveLanes: 1),
                epoch: 7
            )
        )
        right.install(
            parameters(200, 100, keys(second, first), isInitiator: false, counters: rightCounters, epoch: 9)
        )
        left.activate(ReceiverIndex(100), announce: false, now: now)
    }

    /// Forwards a frame of the left node's device and returns the datagrams that left.
    func send(to destination: [UInt8], from source: [UInt8] = leftMAC, network: Int = 0) -> [[UInt8]] {
        forward(destination + source + [0x88, 0xb5] + Array("payload".utf8), network: network)
    }

    /// Forwards any frame or super-frame of the left node's device and returns the datagrams that left.
    func forward(_ frame: [UInt8], offload: VirtioNetHeader = VirtioNetHeader(), network: Int = 0) -> [[UInt8]] {
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        var progress = left.forward(
            slot + VTEP.headroom,
            count: frame.count,
            offload: offload,
            network: network,
            now: now
        )
        var sent: [[UInt8]] = []
        while progress == .batchFull {
            sent += takeOutgoing()
            progress = left.resume(now: now)
        }
        left.sealOpenDatagram(now: now)
        return sent + takeOutgoing()
    }

    /// Empties the left node's outgoing batch.
    func takeOutgoing() -> [[UInt8]] {
        defer { left.removeOutgoing() }
        return (0..<left.outgoing.count).flatMap { place in
            let run = left.outgoing[place]
            return (0..<run.segments).map { [UInt8](run.datagram($0)) }
        }
    }

    /// Hands a datagram to the right node and returns the frames it delivered.
    func receive(_ datagram: [UInt8], from source: Endpoint = leftEndpoint) -> [[UInt8]] {
        receive(run: datagram, segmentSize: 0, from: source).map(\.frame)
    }

    /// Hands a run of datagrams to the right node and returns the frames and super-frames it delivered.
    func receive(run: [UInt8], segmentSize: Int, from source: Endpoint = leftEndpoint) -> [Delivered] {
        slot.copyMemory(from: run, byteCount: run.count)
        right.receiveSealed(slot, count: run.count, segmentSize: segmentSize, from: source, now: now)
        return Self.takeDelivered(&right)
    }

    /// A frame or super-frame for a device, with its vnet header.
    struct Delivered: Equatable {
        let offload: VirtioNetHeader
        let frame: [UInt8]
    }

    static func takeDelivered(_ node: inout VTEP) -> [Delivered] {
        defer { node.removeDelivered() }
        node.finishDelivered()
        return (0..<node.delivered.count).map { place in
            let pieces = node.delivered.pieces(of: place)
            let header = VirtioNetHeader(reading: pieces[0].base)
            let frame = pieces.dropFirst().flatMap { [UInt8](UnsafeRawBufferPointer(start: $0.base, count: $0.count)) }
            return Delivered(offload: header, frame: frame)
        }
    }
}
