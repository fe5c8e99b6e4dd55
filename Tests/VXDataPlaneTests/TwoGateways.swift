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
    let rightFDB = ForwardingDatabase()
    let slot = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 64)
    var now = Instant(nanoseconds: 1_000_000_000)

    init(connected: Bool = true) {
        func make(_ databases: [ForwardingDatabase], members: [PeerIndex], endpoint: Endpoint) -> VTEP {
            let networks = [42, 43].enumerated().map { place, vni in
                NetworkDefinition(
                    vni: VNI(truncating: UInt32(vni)),
                    mode: .sealed,
                    learning: true,
                    maximumFrame: 1522,
                    members: place == 0 ? [PeerIndex(0)] : members,
                    forwarding: databases[place]
                )
            }
            let peer = PeerDefinition(isPlaintext: false, endpoint: endpoint, roaming: true, counters: PeerCounters())
            return VTEP(
                lane: 0,
                threads: 1,
                networks: networks,
                peers: [peer],
                cipher: .libsodium(),
                drops: DropCounters()
            )
        }
        left = make(
            [ForwardingDatabase(), ForwardingDatabase()],
            members: [PeerIndex(0)],
            endpoint: Self.rightEndpoint
        )
        right = make([rightFDB, ForwardingDatabase()], members: [], endpoint: Self.leftEndpoint)
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
        func parameters(_ local: UInt32, _ remote: UInt32, _ keys: TransportKeySet, _ initiator: Bool)
            -> SessionParameters
        {
            SessionParameters(
                peer: PeerIndex(0),
                localIndex: ReceiverIndex(local),
                remoteIndex: ReceiverIndex(remote),
                keys: keys,
                isInitiator: initiator,
                createdAt: now,
                counters: SessionCounters()
            )
        }
        left.install(parameters(100, 200, keys(first, second), true))
        right.install(parameters(200, 100, keys(second, first), false))
        left.activate(ReceiverIndex(100), announce: false, now: now)
    }

    /// Forwards a frame of the left node's device and returns the datagrams that left.
    func send(to destination: [UInt8], from source: [UInt8] = leftMAC, network: Int = 0) -> [[UInt8]] {
        let frame = destination + source + [0x88, 0xb5] + Array("payload".utf8)
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        var progress = left.forward(slot + VTEP.headroom, count: frame.count, network: network, now: now)
        var sent: [[UInt8]] = []
        while true {
            for place in 0..<left.outgoing.count {
                let datagram = left.outgoing[place]
                sent.append([UInt8](UnsafeRawBufferPointer(start: datagram.base, count: datagram.count)))
            }
            left.removeOutgoing()
            if progress == .finished { return sent }
            progress = left.resumeFlood(now: now)
        }
    }

    /// Hands a datagram to the right node and returns the frames it delivered.
    func receive(_ datagram: [UInt8], from source: Endpoint = leftEndpoint) -> [[UInt8]] {
        slot.copyMemory(from: datagram, byteCount: datagram.count)
        right.receiveSealed(slot, count: datagram.count, from: source, now: now)
        defer { right.removeDelivered() }
        return (0..<right.delivered.count).map { place in
            let frame = right.delivered[place]
            return [UInt8](UnsafeRawBufferPointer(start: frame.base, count: frame.count))
        }
    }
}
