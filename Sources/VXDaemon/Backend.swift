import VXConfig
import VXControlSocket
import VXCrypto
import VXDataPlane
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

/// Answers the admin API from counters and the status board; it never waits for a lane.
struct Backend: AdminBackend {
    let configuration: NodeConfiguration
    let runtime: Runtime
    let tables: [NetworkTables]
    /// By lane, then by peer.
    let counters: [[PeerCounters]]
    let mtus: [Int]
    let devices: DeviceBoard
    let listen: [String]
    let steering: FlowSteering
    let ledger: RotationLedger
    let cipher: BulkCipher.Provider
    let startedAt = Clocks.bootTime()

    func status() async -> StatusReply {
        let now = Clocks.bootTime()
        let rotations = await runtime.rotationSnapshot()
        let keys = Dictionary(uniqueKeysWithValues: rotations.peers.map { ($0.index, $0.key) })
        return StatusReply(
            node: configuration.node,
            publicKey: rotations.publicKey.base64,
            listen: listen,
            cipher: cipher.rawValue,
            lanes: counters.count,
            steering: counters.count > 1 ? steering.rawValue : nil,
            handovers: runtime.handovers,
            offloads: Dictionary(
                uniqueKeysWithValues: runtime.offloads.current.map { ($0.name, $0.state.rawValue) }
            ),
            uptimeSeconds: now.since(startedAt).seconds,
            networks: configuration.networks.indices.map(network(at:)),
            peers: configuration.peers.indices.map { peer(at: $0, key: keys[PeerIndex(UInt16($0))], now: now) },
            drops: Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0.name, runtime.drops($0)) })
        )
    }

    private func network(at place: Int) -> NetworkStatus {
        let network = configuration.networks[place]
        let usage = tables[place].forwarding.usage
        let device = devices[place]
        var status = NetworkStatus(
            vni: network.vni.rawValue,
            mode: network.mode.rawValue,
            device: network.device,
            mtu: mtus[place],
            fdb: .init(learned: usage.learned, limit: usage.limit, refused: usage.refused, frozen: usage.frozen)
        )
        status.bridge = network.bridge
        status.isKeptApart = network.bridge == nil ? nil : device.isKeptApart
        status.deviceRestarts = device.restarts
        status.neighbors = tables[place].neighbors.map { table in
            let usage = table.usage
            return .init(known: usage.known, answered: usage.answered, refused: usage.refused)
        }
        return status
    }

    private func peer(at place: Int, key: PublicKey?, now: Instant) -> PeerStatus {
        let peer = configuration.peers[place]
        let entry = runtime.board[PeerIndex(UInt16(place))]
        var status = PeerStatus(
            name: peer.name,
            publicKey: key?.base64,
            mode: peer.sealed == nil ? "plaintext" : "sealed",
            endpoint: (entry?.endpoint ?? peer.endpoint)?.configured,
            state: peer.sealed == nil ? "plaintext" : entry?.state.rawValue ?? "down"
        )
        for lane in counters {
            let traffic = lane[place]
            status.received.datagrams += traffic.receivedDatagrams
            status.received.frames += traffic.receivedFrames
            status.received.bytes += traffic.receivedBytes
            status.sent.datagrams += traffic.sentDatagrams
            status.sent.frames += traffic.sentFrames
            status.sent.bytes += traffic.sentBytes
        }
        guard peer.sealed != nil, let entry else { return status }
        let age = entry.establishedAt.map { now.since($0).seconds }
        status.postQuantum = entry.state == .established
        status.keyAgeSeconds = entry.state == .established ? age : nil
        status.lastHandshakeSecondsAgo = age
        status.rttMicroseconds = entry.roundTrip.map { $0.nanoseconds / 1000 }
        status.handshakes = entry.handshakes
        status.pathMTU = entry.pathMTU
        status.peerLanes = entry.announcedLanes
        status.lanePorts = entry.lanePorts.map(\.rawValue)
        let losses = entry.losses
        status.lost.received = losses.received
        status.lost.sent = losses.sent
        status.duplicated = losses.duplicated
        status.reordered = losses.reordered
        return status
    }

    func forwardingDatabase() async -> FDBReply {
        let now = Clocks.bootTime()
        let entries = zip(configuration.networks, tables).flatMap { network, tables in
            tables.forwarding.rows(now: now).sorted { $0.address.rawValue < $1.address.rawValue }.map { row in
                let isLocal = row.peer == ForwardingDatabase.localDevice
                return FDBReply.Entry(
                    vni: network.vni.rawValue,
                    mac: row.address.description,
                    peer: isLocal ? nil : configuration.peers[Int(row.peer.rawValue)].name,
                    kind: "\(row.kind)",
                    ageSeconds: row.lastSeen.map { now.since($0).seconds }
                )
            }
        }
        return FDBReply(entries: entries)
    }

    func flushForwardingDatabase(_ request: FlushRequest) async throws(AdminRefusal) -> FDBReply {
        var peer: PeerIndex?
        if let name = request.peer {
            guard let place = configuration.peers.firstIndex(where: { $0.name == name }) else {
                throw AdminRefusal("no peer has the name \(name); see them with: vxseal peers")
            }
            peer = PeerIndex(UInt16(place))
        }
        let address = request.mac.flatMap { MACAddress($0) }
        if let text = request.mac, address == nil {
            throw AdminRefusal("`\(text)` is no MAC address; write it as 02:00:00:00:00:07")
        }
        if let vni = request.vni, !configuration.networks.contains(where: { $0.vni.rawValue == vni }) {
            throw AdminRefusal("no network has VNI \(vni); see them with: vxseal status")
        }
        for (network, tables) in zip(configuration.networks, tables)
        where request.vni == nil || network.vni.rawValue == request.vni {
            tables.forwarding.flush(peer: peer, address: address)
            if address == nil { tables.neighbors?.flush(peer: peer) }
        }
        return await forwardingDatabase()
    }

    func rotateSession(peer name: String?) async -> RotateSessionReply? {
        let places = configuration.peers.indices.filter { place in
            configuration.peers[place].sealed != nil && (name == nil || configuration.peers[place].name == name)
        }
        guard name == nil || !places.isEmpty else { return nil }
        for place in places { runtime.rekey(PeerIndex(UInt16(place))) }
        return RotateSessionReply(peers: places.map { configuration.peers[$0].name })
    }
}

/// Who decides on which lane a frame of this node leaves.
enum FlowSteering: String {
    /// A program of this daemon: a flow stays on its lane.
    case ebpf
    /// The kernel's own rule: order holds within a lane.
    case kernel
}
