import VXCrypto
import VXDataPlane
import VXWire

/// A gateway in VNI 42, which is mixed, with a sealed peer that has a session (index 0) and two plaintext ones (1 and 2). The
/// sealed peer is a lane of its own.
final class MixedGateway {
    /// What became of a frame.
    struct Result {
        /// What the sealed peer was sent, and opened.
        var sealed: [[UInt8]] = []
        var sealedOffloads: [VirtioNetHeader] = []
        /// What the plaintext peers were sent.
        var plaintext: [(to: Endpoint, frame: [UInt8])] = []
        /// What the gateway's own device was given.
        var device: [[UInt8]] = []
    }

    let farEndpoint = Endpoint(address: .v4(IPv4Address(0xc000_0202)), port: 47890)
    let plaintextCounters = [PeerCounters(), PeerCounters()]
    let plaintextEndpoints = [0xc000_020b, 0xc000_020c].map {
        Endpoint(address: .v4(IPv4Address($0)), port: 4789)
    }
    private let ownEndpoint = Endpoint(address: .v4(IPv4Address(0xc000_0201)), port: 47890)

    var gateway: VTEP
    private var farEnd: VTEP
    let farCounters = PeerCounters()
    let guardian = RelayGuard()
    let forwarding = ForwardingDatabase(limit: 1024, peerCount: 3)
    var now = Instant(nanoseconds: 100_000_000_000)
    private let slot = UnsafeMutableRawPointer.allocate(byteCount: 128 << 10, alignment: 64)

    /// - Parameter binding: the first plaintext peer's.
    init(relays: Bool, hasDevice: Bool = true, groups: GroupTable? = nil, binding: PeerBinding? = nil) {
        let forwarding = forwarding
        func network(_ mode: NetworkMode, _ members: [PeerIndex], _ relay: RelayGuard?, _ hasDevice: Bool)
            -> NetworkDefinition
        {
            NetworkDefinition(
                vni: VNI(truncating: 42),
                mode: mode,
                learning: true,
                maximumFrame: 1522,
                members: members,
                forwarding: mode == .mixed ? forwarding : ForwardingDatabase(),
                relay: relay,
                groups: mode == .mixed ? groups : nil,
                hasDevice: hasDevice
            )
        }
        func node(_ networks: [NetworkDefinition], _ peers: [PeerDefinition]) -> VTEP {
            VTEP(lane: 0, threads: 1, networks: networks, peers: peers, cipher: .libsodium(), drops: DropCounters())
        }
        func peer(
            _ endpoint: Endpoint,
            isPlaintext: Bool,
            counters: PeerCounters = PeerCounters(),
            binding: PeerBinding? = nil
        ) -> PeerDefinition {
            PeerDefinition(
                isPlaintext: isPlaintext,
                endpoint: endpoint,
                roaming: true,
                counters: counters,
                binding: binding
            )
        }
        gateway = node(
            [network(.mixed, (0..<3).map { PeerIndex($0) }, relays ? guardian : nil, hasDevice)],
            [peer(farEndpoint, isPlaintext: false, counters: farCounters)]
                + zip(plaintextEndpoints, plaintextCounters).enumerated().map { place, parts in
                    peer(parts.0, isPlaintext: true, counters: parts.1, binding: place == 0 ? binding : nil)
                }
        )
        farEnd = node([network(.sealed, [PeerIndex(0)], nil, true)], [peer(ownEndpoint, isPlaintext: false)])
        let (first, second) = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
        gateway.install(parameters(100, 200, first, second, isInitiator: true))
        farEnd.install(parameters(200, 100, second, first, isInitiator: false))
        gateway.activate(ReceiverIndex(100), announce: true, now: now)
        // Key confirmation.
        _ = takeOutgoing()
    }

    deinit { slot.deallocate() }

    private func parameters(
        _ local: UInt32,
        _ remote: UInt32,
        _ send: [UInt8],
        _ receive: [UInt8],
        isInitiator: Bool
    ) -> SessionParameters {
        let keys = send.withUnsafeBytes { send in
            receive.withUnsafeBytes { TransportKeySet(send: send, receive: $0, sendLanes: 1, receiveLanes: 1) }
        }
        return SessionParameters(
            peer: PeerIndex(0),
            localIndex: ReceiverIndex(local),
            remoteIndex: ReceiverIndex(remote),
            keys: keys,
            isInitiator: isInitiator,
            features: PacketOffloads().features,
            createdAt: now,
            counters: PairCounters(threads: 1, receiveLanes: 1)
        )
    }

    /// A frame from a plaintext peer, 1 or 2, or from the sealed one.
    func hear(_ frame: [UInt8], fromPlaintext peer: Int?) -> Result {
        guard let peer else { return far(frame) }
        return hear(frame, from: plaintextEndpoints[peer - 1])
    }

    /// Standard VXLAN from anywhere.
    func hear(_ frame: [UInt8], from source: Endpoint) -> Result {
        hear(datagram: [8, 0, 0, 0, 0, 0, 42, 0] + frame, from: source)
    }

    /// Any datagram on the plaintext port.
    func hear(datagram: [UInt8], from source: Endpoint) -> Result {
        slot.copyMemory(from: datagram, byteCount: datagram.count)
        gateway.receivePlaintext(slot, count: datagram.count, segmentSize: 0, from: source, now: now)
        return takeAll()
    }

    /// A frame of the sealed peer's device.
    func far(_ frame: [UInt8], offload: VirtioNetHeader = VirtioNetHeader()) -> Result {
        let place = slot + VTEP.headroom
        place.copyMemory(from: frame, byteCount: frame.count)
        _ = farEnd.forward(place, count: frame.count, offload: offload, network: 0, now: now)
        farEnd.sealOpenDatagram(now: now)
        let datagrams = (0..<farEnd.outgoing.count).flatMap { run in
            (0..<farEnd.outgoing[run].segments).map { [UInt8](farEnd.outgoing[run].datagram($0)) }
        }
        farEnd.removeOutgoing()
        var result = Result()
        for datagram in datagrams {
            slot.copyMemory(from: datagram, byteCount: datagram.count)
            gateway.receiveSealed(slot, count: datagram.count, segmentSize: 0, from: farEndpoint, now: now)
            let part = takeAll()
            result.sealed += part.sealed
            result.plaintext += part.plaintext
            result.device += part.device
        }
        return result
    }

    /// A frame of the gateway's own device.
    func forward(_ frame: [UInt8]) -> Result {
        let place = slot + VTEP.headroom
        place.copyMemory(from: frame, byteCount: frame.count)
        _ = gateway.forward(place, count: frame.count, network: 0, now: now)
        gateway.sealOpenDatagram(now: now)
        return takeOutgoing()
    }

    /// As a lane does after it received.
    private func takeAll() -> Result {
        var result = Result()
        while gateway.sendRelayed(now: now) == .batchFull { result = merge(result, takeOutgoing()) }
        result = merge(result, takeOutgoing())
        result.device = TwoGateways.takeDelivered(&gateway).map(\.frame)
        return result
    }

    private func merge(_ left: Result, _ right: Result) -> Result {
        var sum = left
        sum.sealed += right.sealed
        sum.sealedOffloads += right.sealedOffloads
        sum.plaintext += right.plaintext
        return sum
    }

    private func takeOutgoing() -> Result {
        var result = Result()
        for place in 0..<gateway.outgoing.count {
            let run = gateway.outgoing[place]
            for number in 0..<run.segments {
                let datagram = [UInt8](run.datagram(number))
                if run.endpoint != farEndpoint {
                    result.plaintext.append((run.endpoint, Array(datagram.dropFirst(8))))
                    continue
                }
                let copy = UnsafeMutableRawPointer.allocate(byteCount: datagram.count, alignment: 64)
                defer { copy.deallocate() }
                copy.copyMemory(from: datagram, byteCount: datagram.count)
                farEnd.receiveSealed(copy, count: datagram.count, segmentSize: 0, from: ownEndpoint, now: now)
                for delivered in TwoGateways.takeDelivered(&farEnd) {
                    result.sealed.append(delivered.frame)
                    result.sealedOffloads.append(delivered.offload)
                }
            }
        }
        gateway.removeOutgoing()
        return result
    }
}
