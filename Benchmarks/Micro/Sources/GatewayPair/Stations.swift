import VXCrypto
import VXDataPlane
import VXWire

/// One side's stations: one behind each peer.
struct Stations {
    /// The MAC address behind peer 0; the others follow.
    private let first: UInt64

    static let near = Stations(first: 0x0200_0001_0000)
    static let far = Stations(first: 0x0200_0002_0000)
    static let endpoint = Endpoint(address: .v4(IPv4Address(0xc000_0201)), port: 47890)

    /// The MAC address of the station behind a peer.
    func behind(_ peer: Int) -> UInt64 { first + UInt64(peer) }

    /// A lane that has them in its forwarding database.
    func lane(
        _ number: Int = 0,
        of threads: Int = 1,
        counters: [PeerCounters],
        cipher: consuming BulkCipher,
        offloads: PacketOffloads
    ) -> VTEP {
        let forwarding = ForwardingDatabase(limit: 3_000, peerCount: counters.count, permanent: counters.count)
        let indices = counters.indices.map { PeerIndex(UInt16($0)) }
        for peer in indices {
            let entered = forwarding.insertPermanent(MACAddress(behind(Int(peer.rawValue))), peer: peer)
            precondition(entered, "the forwarding database is full")
        }
        let network = NetworkDefinition(
            vni: VNI(truncating: 42),
            mode: .sealed,
            learning: true,
            maximumFrame: 1522,
            members: indices,
            forwarding: forwarding
        )
        return VTEP(
            lane: number,
            threads: threads,
            networks: [network],
            peers: counters.map {
                PeerDefinition(isPlaintext: false, endpoint: Self.endpoint, roaming: true, counters: $0)
            },
            cipher: cipher,
            offloads: offloads,
            drops: DropCounters()
        )
    }
}

/// Both ends' keys of one peer's session.
struct PeerKeys {
    let near: TransportKeySet
    let far: TransportKeySet

    init(peer: Int, lanes: Int) {
        func key(_ direction: UInt8) -> [UInt8] {
            [direction] + (0..<31).map { UInt8(truncatingIfNeeded: peer >> ($0 % 4 * 8)) }
        }
        func set(_ send: [UInt8], _ receive: [UInt8]) -> TransportKeySet {
            send.withUnsafeBytes { send in
                receive.withUnsafeBytes {
                    TransportKeySet(send: send, receive: $0, sendLanes: lanes, receiveLanes: lanes)
                }
            }
        }
        near = set(key(1), key(2))
        far = set(key(2), key(1))
    }
}

extension VTEP {
    /// Gives the lane its end of a session on a path of 1500 bytes.
    mutating func connect(
        _ peer: Int,
        _ keys: TransportKeySet,
        counters: PairCounters,
        local: Int,
        remote: Int,
        offloads: PacketOffloads,
        now: Instant
    ) {
        let index = ReceiverIndex(UInt32(local))
        install(
            SessionParameters(
                peer: PeerIndex(UInt16(peer)),
                localIndex: index,
                remoteIndex: ReceiverIndex(UInt32(remote)),
                keys: keys,
                isInitiator: true,
                features: offloads.features,
                createdAt: now,
                counters: counters
            )
        )
        activate(index, announce: false, now: now)
        setPathMTU(1500, of: PeerIndex(UInt16(peer)))
    }
}

extension UnsafeMutableRawPointer {
    /// Writes a MAC address.
    func storeAddress(_ address: UInt64, at offset: Int) {
        storeBytes(of: UInt16(address >> 32).bigEndian, toByteOffset: offset, as: UInt16.self)
        storeBytes(of: UInt32(truncatingIfNeeded: address).bigEndian, toByteOffset: offset + 2, as: UInt32.self)
    }
}
