import VXConfig
import VXControlSocket
import VXCrypto
import VXDataPlane
import VXHandshake
import VXLinux
import VXNetlink
import VXRuntime
import VXWire

/// Answers the admin API from counters and the status board; it never waits for a lane.
struct Backend: AdminBackend {
    let sandbox: Sandbox.Report
    let roster: RosterBoard
    let runtime: Runtime
    let reloader: Reloader
    let devices: DeviceBoard
    let listen: [String]
    let steering: FlowSteering
    let ledger: RotationLedger
    let cipher: BulkCipher.Provider
    let rates: TrafficRates
    let captures: CaptureBoard
    let startedAt = Clocks.bootTime()

    func status() async -> StatusReply {
        let now = Clocks.bootTime()
        let rotations = await runtime.rotationSnapshot()
        let roster = roster.current
        let lanes = roster.counters.count
        let keys = Dictionary(uniqueKeysWithValues: rotations.peers.map { ($0.index, $0.key) })
        let carried = carried
        var reply = StatusReply(
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
            networks: roster.orderedNetworks.map { status(of: $1, at: $0, of: roster, carried: carried, now: now) },
            peers: roster.orderedPeers.map { status(of: $1, at: $0, of: roster, key: keys[$0], now: now) },
            drops: Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0.name, runtime.drops($0)) })
        )
        reply.laneTraffic = roster.counters.enumerated().map { number, peers in
            let drops = runtime.drops(ofLane: number)
            var lane = LaneStatus(
                received: .init(),
                sent: .init(),
                drops: DropReason.named { drops[$0] }
            )
            for peer in peers { peer.add(to: &lane.received, &lane.sent) }
            return lane
        }
        reply.sandbox = SandboxStatus(
            seccomp: sandbox.seccomp,
            landlock: sandbox.landlock,
            noNewPrivileges: sandbox.noNewPrivileges,
            capabilities: sandbox.capabilities.descriptions,
            problems: sandbox.problems
        )
        return reply
    }

    /// What every device has carried, by name; none where the kernel does not say.
    var carried: [String: LinkTraffic] {
        guard !roster.current.configuration.networks.isEmpty else { return [:] }
        return (try? NetworkConfigurator().traffic()) ?? [:]
    }

    func status(
        of entry: Roster.Network,
        at place: Int,
        of roster: Roster,
        carried: [String: LinkTraffic],
        now: Instant
    ) -> NetworkStatus {
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
        status.drops = DropReason.named { entry.drops[$0] }
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
        status.traffic = status.device.flatMap { carried[$0] }.map { traffic in
            .init(
                receivedPackets: traffic.receivedPackets,
                receivedBytes: traffic.receivedBytes,
                sentPackets: traffic.sentPackets,
                sentBytes: traffic.sentBytes
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

    func status(
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
            traffic.add(to: &status.received, &status.sent)
            status.tripwires += traffic.tripwires
            status.reservedBits += traffic.reservedBits
        }
        status.drops = DropReason.named { reason in
            roster.counters.reduce(0) { $0 + $1[Int(index.rawValue)].drops(reason) }
        }
        status.rates = rates.rate(of: index, received: status.received, sent: status.sent, now: now)
        guard peer.sealed != nil, let entry else { return status }
        let age = entry.establishedAt.map { now.since($0).seconds }
        status.postQuantum = entry.state == .established
        status.keyAgeSeconds = entry.state == .established ? age : nil
        status.lastHandshakeSecondsAgo = age
        status.nextRekeySeconds =
            entry.state == .established ? entry.renewal.map { $0.since(now).seconds } : nil
        status.rtt = entry.roundTrips.summary.map {
            .init(minMicroseconds: $0.least, medianMicroseconds: $0.median, p99Microseconds: $0.p99, samples: $0.count)
        }
        status.rttMicroseconds = status.rtt?.medianMicroseconds ?? entry.roundTrip.map { $0.nanoseconds / 1000 }
        status.clockAheadSeconds = entry.clockAheadSeconds
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

    func ping(_ request: PingRequest) async throws(AdminRefusal) -> PingReply {
        guard let peer = roster.current.orderedPeers.first(where: { $1.name == request.peer }), peer.1.sealed != nil
        else { throw AdminRefusal("no sealed peer has the name \(request.peer); see them with: vxseal peers") }
        guard (0...PingRequest.mostPadding).contains(request.padding) else {
            throw AdminRefusal("a request carries 0 to \(PingRequest.mostPadding) bytes, not \(request.padding)")
        }
        guard (1...10_000).contains(request.timeoutMilliseconds) else {
            throw AdminRefusal("a timeout is 1 to 10000 ms, not \(request.timeoutMilliseconds)")
        }
        let timeout = Interval.milliseconds(UInt64(request.timeoutMilliseconds))
        switch await runtime.inquire(.echo(padding: request.padding), of: peer.0, timeout: timeout) {
        case .answered(let interval):
            return PingReply(outcome: "answered", roundTripMicroseconds: Double(interval.nanoseconds) / 1000)
        case .lost, .judged: return PingReply(outcome: "lost")
        case .noSession: return PingReply(outcome: "noSession")
        case .busy: throw AdminRefusal("too many echo requests wait for their answers; try again")
        }
    }

    func trace(_ request: TraceRequest) async throws(AdminRefusal) -> TraceReply {
        var tracer = Tracer(
            roster: roster.current,
            board: runtime.board,
            cipher: cipher.rawValue,
            listen: listen,
            now: Clocks.bootTime()
        )
        let reply = try tracer.trace(request)
        return request.sends ? await send(reply, request) : reply
    }

    /// Of a flood so many are asked.
    private static let mostProbed = 16

    /// The MAC address that an inner address of this side has: a neighbour's, else the own device's.
    private func sourceStation(_ source: String, _ network: NetworkConfiguration) -> MACAddress? {
        guard network.hasDevice, let netlink = try? NetworkConfigurator() else { return nil }
        let place = network.bridge ?? network.device
        let heard = IPAddress(source).flatMap { try? netlink.neighbor($0, on: place) }
        return heard ?? netlink.link(place)?.address
    }

    /// Has the peers that would get the frame say what they would do with it.
    private func send(_ traced: TraceReply, _ request: TraceRequest) async -> TraceReply {
        var reply = traced
        let network = roster.current.configuration.networks.first { $0.vni.rawValue == traced.vni }
        guard let network, let frame = ProbeFrame(request, traced, source: sourceStation(request.source, network))
        else { return reply }
        for name in traced.peers.prefix(Self.mostProbed) {
            let roster = roster.current
            guard let index = roster.index(of: name), roster[index]?.configuration.sealed != nil else {
                reply.steps.append(.init("probe", "\(name) speaks standard VXLAN, and can't be asked"))
                continue
            }
            let outcome = await runtime.inquire(.trace(frame: frame.bytes, frame.vni), of: index, timeout: .seconds(2))
            reply.note(outcome, of: name)
        }
        return reply
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

extension PeerCounters {
    /// Adds what one lane has exchanged with one peer to both directions' sums.
    func add(to received: inout PeerStatus.Traffic, _ sent: inout PeerStatus.Traffic) {
        received.datagrams += receivedDatagrams
        received.frames += receivedFrames
        received.bytes += receivedBytes
        sent.datagrams += sentDatagrams
        sent.frames += sentFrames
        sent.bytes += sentBytes
    }
}

extension DropReason {
    /// Counts by the reasons' names, without those at zero.
    static func named(_ count: (DropReason) -> UInt64) -> [String: UInt64] {
        var named: [String: UInt64] = [:]
        for reason in allCases {
            let count = count(reason)
            if count > 0 { named[reason.name] = count }
        }
        return named
    }
}
