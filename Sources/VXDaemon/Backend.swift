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
    let roster: RosterBoard
    let runtime: Runtime
    let reloader: Reloader
    let devices: DeviceBoard
    let listen: [String]
    let steering: FlowSteering
    let ledger: RotationLedger
    let cipher: BulkCipher.Provider
    let startedAt = Clocks.bootTime()

    func status() async -> StatusReply {
        let now = Clocks.bootTime()
        let rotations = await runtime.rotationSnapshot()
        let roster = roster.current
        let lanes = roster.counters.count
        let keys = Dictionary(uniqueKeysWithValues: rotations.peers.map { ($0.index, $0.key) })
        return StatusReply(
            node: roster.configuration.node,
            publicKey: rotations.publicKey.base64,
            listen: listen,
            cipher: cipher.rawValue,
            lanes: lanes,
            steering: lanes > 1 ? steering.rawValue : nil,
            handovers: runtime.handovers,
            offloads: Dictionary(
                uniqueKeysWithValues: runtime.offloads.current.map { ($0.name, $0.state.rawValue) }
            ),
            uptimeSeconds: now.since(startedAt).seconds,
            networks: roster.orderedNetworks.map { status(of: $1, at: $0, of: roster, now: now) },
            peers: roster.orderedPeers.map { status(of: $1, at: $0, of: roster, key: keys[$0], now: now) },
            drops: Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0.name, runtime.drops($0)) })
        )
    }

    private func status(of entry: Roster.Network, at place: Int, of roster: Roster, now: Instant) -> NetworkStatus {
        let network = entry.configuration
        let usage = entry.tables.forwarding.usage
        let device = devices[place]
        var status = NetworkStatus(
            vni: network.vni.rawValue,
            mode: network.mode.rawValue,
            device: network.hasDevice ? network.device : nil,
            mtu: entry.mtu,
            fdb: .init(learned: usage.learned, limit: usage.limit, refused: usage.refused, frozen: usage.frozen)
        )
        status.relay = entry.relay.map { relay in
            let state = relay.state(now: now)
            return .init(isStopped: state.isStopped, stops: state.stops)
        }
        status.groups = entry.groups.map { table in
            let usage = table.usage(now: now)
            let routers = entry.tables.contents.members.filter { peer in
                roster.peers[Int(peer.rawValue)]?.configuration.allow?.router == true
                    || table.hasRouter(peer, isIPv6: false, now: now) || table.hasRouter(peer, isIPv6: true, now: now)
            }
            return .init(
                memberships: usage.memberships,
                refused: usage.refused,
                ignored: usage.ignored,
                routers: routers.map(roster.name(of:)).sorted(),
                hasIPv4Querier: usage.hasQuerier.ipv4,
                hasIPv6Querier: usage.hasQuerier.ipv6
            )
        }
        status.bridge = network.bridge
        status.isKeptApart = network.bridge == nil ? nil : device.isKeptApart
        status.deviceRestarts = device.restarts
        status.neighbors = entry.tables.neighbors.map { table in
            let usage = table.usage
            return .init(known: usage.known, answered: usage.answered, refused: usage.refused)
        }
        return status
    }

    private func status(
        of peer: PeerConfiguration,
        at index: PeerIndex,
        of roster: Roster,
        key: PublicKey?,
        now: Instant
    ) -> PeerStatus {
        let entry = runtime.board[index]
        var status = PeerStatus(
            name: peer.name,
            publicKey: key?.base64,
            mode: peer.sealed == nil ? "plaintext" : "sealed",
            endpoint: (entry?.endpoint ?? peer.endpoint)?.configured,
            state: peer.sealed == nil ? "plaintext" : entry?.state.rawValue ?? "down"
        )
        for lane in roster.counters {
            let traffic = lane[Int(index.rawValue)]
            status.received.datagrams += traffic.receivedDatagrams
            status.received.frames += traffic.receivedFrames
            status.received.bytes += traffic.receivedBytes
            status.sent.datagrams += traffic.sentDatagrams
            status.sent.frames += traffic.sentFrames
            status.sent.bytes += traffic.sentBytes
            status.tripwires += traffic.tripwires
            status.reservedBits += traffic.reservedBits
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
        if let tripwire = entry.tripwire {
            status.lastTripwireSource = tripwire.source.configured
            status.lastTripwireSecondsAgo = now.since(tripwire.at).seconds
        }
        let losses = entry.losses
        status.lost.received = losses.received
        status.lost.sent = losses.sent
        status.duplicated = losses.duplicated
        status.reordered = losses.reordered
        return status
    }

    func forwardingDatabase() async -> FDBReply {
        let now = Clocks.bootTime()
        let roster = roster.current
        let entries = roster.orderedNetworks.flatMap { _, network in
            network.tables.forwarding.rows(now: now).sorted { $0.address.rawValue < $1.address.rawValue }.map { row in
                let isLocal = row.peer == ForwardingDatabase.localDevice
                return FDBReply.Entry(
                    vni: network.configuration.vni.rawValue,
                    mac: row.address.description,
                    peer: isLocal ? nil : roster.name(of: row.peer),
                    kind: "\(row.kind)",
                    ageSeconds: row.lastSeen.map { now.since($0).seconds }
                )
            }
        }
        return FDBReply(entries: entries, groups: groups(of: roster, now: now))
    }

    private func groups(of roster: Roster, now: Instant) -> [FDBReply.Group] {
        roster.orderedNetworks.flatMap { _, network in
            let rows = (network.groups?.rows(now: now) ?? []).map { row in
                FDBReply.Group(
                    vni: network.configuration.vni.rawValue,
                    mac: row.group.description,
                    peer: roster.name(of: row.peer),
                    expiresInSeconds: row.remaining.seconds
                )
            }
            return rows.sorted { ($0.mac, $0.peer) < ($1.mac, $1.peer) }
        }
    }

    func flushForwardingDatabase(_ request: FlushRequest) async throws(AdminRefusal) -> FDBReply {
        let roster = roster.current
        var peer: PeerIndex?
        if let name = request.peer {
            peer = roster.index(of: name)
            if peer == nil { throw AdminRefusal("no peer has the name \(name); see them with: vxseal peers") }
        }
        let address = request.mac.flatMap { MACAddress($0) }
        if let text = request.mac, address == nil {
            throw AdminRefusal("`\(text)` is no MAC address; write it as 02:00:00:00:00:07")
        }
        if let vni = request.vni, !roster.configuration.networks.contains(where: { $0.vni.rawValue == vni }) {
            throw AdminRefusal("no network has VNI \(vni); see them with: vxseal status")
        }
        for case let network? in roster.networks
        where request.vni == nil || network.configuration.vni.rawValue == request.vni {
            network.tables.forwarding.flush(peer: peer, address: address)
            if address == nil { network.tables.neighbors?.flush(peer: peer) }
        }
        return await forwardingDatabase()
    }

    func rotateSession(peer name: String?) async -> RotateSessionReply? {
        let peers = roster.current.orderedPeers.filter { $1.sealed != nil && (name == nil || $1.name == name) }
        guard name == nil || !peers.isEmpty else { return nil }
        for (index, _) in peers { runtime.rekey(index) }
        return RotateSessionReply(peers: peers.map(\.configuration.name))
    }

    func reload() async -> ReloadReply { await reloader.reload() }
}

/// Who decides on which lane a frame of this node leaves.
enum FlowSteering: String {
    /// A program of this daemon: a flow stays on its lane.
    case ebpf
    /// The kernel's own rule: order holds within a lane.
    case kernel
}
