import VXConfig
import VXControlSocket
import VXDataPlane
import VXHandshake
import VXNetlink
import VXRuntime
import VXWire

/// Goes the way of a frame through this node's decisions, as `VTEP` takes them, and says each; nothing is sent or learned.
struct Tracer {
    let roster: Roster
    let board: StatusBoard
    let cipher: String
    let listen: [String]
    let now: Instant
    /// What the kernel knows of an address on a device.
    var neighbor: (IPAddress, String) -> MACAddress? = { address, device in
        try? NetworkConfigurator().neighbor(address, on: device)
    }
    private var reply = TraceReply()

    init(roster: Roster, board: StatusBoard, cipher: String, listen: [String], now: Instant) {
        self.roster = roster
        self.board = board
        self.cipher = cipher
        self.listen = listen
        self.now = now
    }

    /// One end of the frame.
    private enum End {
        case station(MACAddress)
        case address(IPAddress)

        init(_ text: String) throws(AdminRefusal) {
            if let mac = MACAddress(text) {
                self = .station(mac)
            } else if let address = IPAddress(text) {
                self = .address(address)
            } else {
                throw AdminRefusal("`\(text)` is neither an IP address nor a MAC address as 02:00:00:00:00:07")
            }
        }

        var address: IPAddress? { if case .address(let address) = self { address } else { nil } }
    }

    mutating func trace(_ request: TraceRequest) throws(AdminRefusal) -> TraceReply {
        let (source, destination) = (try End(request.source), try End(request.destination))
        let network = try network(request.vni, source, destination)
        reply.vni = network.configuration.vni.rawValue
        let device = network.configuration.hasDevice ? network.configuration.device : nil
        say(
            "network",
            "\(network.configuration.vni), \(network.configuration.mode.rawValue), ",
            device.map { "device \($0), MTU \(network.mtu)" } ?? "no device"
        )
        if let tags = network.configuration.vlans, !tags.contains(0) {
            return dropped("vlanNotAllowed", "network", "frames without a VLAN tag do not pass: `vlan` lists \(tags)")
        }
        guard let station = station(destination, network, device) else {
            flood(
                network,
                group: nil,
                why: "an ARP request or neighbour solicitation, and the frame once it is answered,"
            )
            return finish(request, network, destination)
        }
        reply.station = station.description
        choose(station, network, destination)
        return finish(request, network, destination)
    }

    // MARK: - Decisions

    private func network(_ vni: UInt32?, _ source: End, _ destination: End) throws(AdminRefusal) -> Roster.Network {
        let networks = roster.orderedNetworks.map(\.network)
        if let vni {
            guard let network = networks.first(where: { $0.configuration.vni.rawValue == vni }) else {
                throw AdminRefusal("no network has VNI \(vni); see them with: vxseal status")
            }
            return network
        }
        if networks.count == 1 { return networks[0] }
        let holding = networks.filter { network in
            network.configuration.addresses.contains { prefix in
                [source, destination].allSatisfy { end in end.address.map(prefix.contains) ?? false }
            }
        }
        guard holding.count == 1 else {
            throw AdminRefusal("the addresses do not tell the network; name it with --vni")
        }
        return holding[0]
    }

    /// The station that the frame goes to; nil when nobody knows it.
    private mutating func station(_ destination: End, _ network: Roster.Network, _ device: String?) -> MACAddress? {
        let address: IPAddress
        switch destination {
        case .station(let mac): return mac
        case .address(let wanted): address = wanted
        }
        if let group = Self.group(of: address) {
            say("station", "\(group), the address of the group \(address)")
            return group
        }
        if let entry = network.configuration.fdb.first(where: { $0.addresses.contains(address) }) {
            say("station", "\(entry.mac), by `fdb` of the configuration")
            return entry.mac
        }
        for place in [device, network.configuration.bridge].compactMap(\.self) {
            guard let mac = neighbor(address, place) else { continue }
            say("station", "\(mac), by the kernel's neighbour table (\(place))")
            return mac
        }
        say("station", "unknown: no entry of `fdb` and none of the kernel's neighbour table names \(address)")
        return nil
    }

    private mutating func choose(_ station: MACAddress, _ network: Roster.Network, _ destination: End) {
        if station.isLinkLocal, !network.configuration.forwardLinkLocal {
            _ = dropped("linkLocal", "database", "\(station) is for one link alone (802.1D); see forwardLinkLocal")
            return
        }
        if station.isMulticast {
            return flood(network, group: station == .broadcast ? nil : station, why: "a frame to a group")
        }
        guard let row = network.tables.forwarding.rows(now: now).first(where: { $0.address == station }) else {
            return flood(network, group: nil, why: "a frame to a station that nobody has heard of")
        }
        let heard = row.lastSeen.map { ", heard \(Int(now.since($0).seconds)) s ago" } ?? ""
        if row.peer == ForwardingDatabase.localDevice {
            say("database", "\(station) is on this node's own device\(heard)")
            reply.outcome = .local
            return
        }
        say("database", "\(station) is behind \(roster.name(of: row.peer)) (\(row.kind)\(heard))")
        deliver(to: [row.peer])
    }

    private mutating func flood(_ network: Roster.Network, group: MACAddress?, why: String) {
        var members = network.tables.contents.members.sorted { $0.rawValue < $1.rawValue }
        switch network.configuration.flood {
        case .none:
            _ = dropped("notFlooded", "database", "\(why) goes to nobody: flood is `none`")
            return
        case .knownMulticast:
            guard let group, let table = network.groups, hasQuerier(group, table) else { break }
            let wanting = Set(table.rows(now: now).filter { $0.group == group }.map(\.peer))
            let isIPv6 = group.rawValue >> 32 == 0x3333
            members.removeAll { peer in
                !wanting.contains(peer) && !table.hasRouter(peer, isIPv6: isIPv6, now: now)
                    && roster[peer]?.configuration.allow?.router != true
            }
        case .all: break
        }
        guard !members.isEmpty else {
            _ = dropped("noPeer", "database", "\(why) goes to nobody: no peer takes part, or none wants the group")
            return
        }
        say(
            "database",
            "\(why) goes to every peer that takes part",
            group != nil && members.count < network.tables.contents.members.count ? " and wants it" : ""
        )
        reply.outcome = .flooded
        deliver(to: members)
    }

    private func hasQuerier(_ group: MACAddress, _ table: GroupTable) -> Bool {
        let has = table.usage(now: now).hasQuerier
        return group.rawValue >> 32 == 0x3333 ? has.ipv6 : has.ipv4
    }

    private mutating func deliver(to peers: [PeerIndex]) {
        var reached: [String] = []
        for index in peers {
            guard let peer = roster[index]?.configuration else { continue }
            guard let entry = board[index], let endpoint = entry.endpoint else {
                say("peer", "\(peer.name): nothing is known of where it is until it calls (noEndpoint)")
                continue
            }
            guard peer.sealed != nil else {
                say("peer", "\(peer.name): plaintext VXLAN to \(endpoint.configured), not encrypted")
                reached.append(peer.name)
                continue
            }
            guard entry.state == .established else {
                say(
                    "peer",
                    "\(peer.name): \(entry.state.rawValue), no session: the frame waits while a handshake runs, at most 256 KiB a lane, the oldest goes first (noSession)"
                )
                continue
            }
            let age = entry.establishedAt.map { Int(now.since($0).seconds) } ?? 0
            say("peer", "\(peer.name): established, key \(age) s old, post-quantum, sealed by \(cipher)")
            reached.append(peer.name)
        }
        reply.peers = reached
        guard reached.isEmpty else {
            if reply.outcome != .flooded { reply.outcome = .sent }
            return
        }
        reply.outcome = .dropped
        reply.reason = "noSession"
    }

    // MARK: - What else is worth knowing

    private mutating func finish(_ request: TraceRequest, _ network: Roster.Network, _ destination: End) -> TraceReply {
        for name in reply.peers.prefix(4) {
            guard let index = roster.index(of: name), let peer = roster[index]?.configuration, let entry = board[index],
                let endpoint = entry.endpoint
            else { continue }
            sayHeader(peer, entry, endpoint, network)
            saySize(peer, entry, endpoint, network, request.size)
            sayWayBack(peer, destination)
        }
        if reply.peers.count > 4 { say("peer", "and \(reply.peers.count - 4) more peers alike") }
        return reply
    }

    private mutating func sayHeader(
        _ peer: PeerConfiguration,
        _ entry: StatusBoard.Entry,
        _ endpoint: Endpoint,
        _ network: Roster.Network
    ) {
        let dscp = network.configuration.copyDscp ? "the packet's DSCP and ECN" : "DSCP 0, the packet's ECN"
        guard peer.sealed != nil else {
            return say("outer", "UDP from a port by the flow's hash to \(endpoint.configured), TTL 64, \(dscp)")
        }
        let lanes = entry.lanePorts
        let ports =
            lanes.count > 1
            ? "one of \(lanes.count) lanes by the flow's hash; ports: \(lanes.map(\.rawValue).joined(separator: ", "))"
            : "from the listen port (\(listen.joined(separator: ", ")))"
        say("outer", "UDP to \(endpoint.configured), \(ports); TTL 64, DF, \(dscp)")
    }

    private mutating func saySize(
        _ peer: PeerConfiguration,
        _ entry: StatusBoard.Entry,
        _ endpoint: Endpoint,
        _ network: Roster.Network,
        _ size: Int?
    ) {
        guard peer.sealed != nil, let path = entry.pathMTU else { return }
        let room =
            path - VTEP.udpOverhead(isIPv6: endpoint.address.isIPv6) - VTEP.headroom - VTEP.tailroom
            - EthernetFrame.headerLength
        let most = min(room, network.mtu)
        guard let size else {
            return say("size", "packets of up to \(most) bytes go whole (path MTU \(path), device \(network.mtu))")
        }
        if size <= most { return say("size", "\(size) bytes go whole: up to \(most) do (path MTU \(path))") }
        if size > network.mtu {
            return say(
                "size",
                "\(size) bytes are more than the device's MTU of \(network.mtu): the kernel does not send them"
            )
        }
        say(
            "size",
            "\(size) bytes do not fit the path (\(most) do): TCP is segmented; with DF, or in IPv6, the sender is told \"too big\"; IPv4 without DF is fragmented; the rest is dropped (tooBig)"
        )
    }

    /// Whether what the destination answers would be taken.
    private mutating func sayWayBack(_ peer: PeerConfiguration, _ destination: End) {
        guard let allow = peer.allow else { return }
        switch destination {
        case .address(let address) where !allow.prefixes.isEmpty && Self.group(of: address) == nil:
            say(
                "back",
                allow.prefixes.contains { $0.contains(address) }
                    ? "\(peer.name) may speak for \(address) (allow.prefixes)"
                    : "\(peer.name) may NOT speak for \(address): what it answers is dropped here (sourceNotAllowed); see allow.prefixes"
            )
        case .station(let mac) where !allow.macs.isEmpty && !mac.isMulticast:
            say(
                "back",
                allow.macs.contains(mac)
                    ? "\(peer.name) may speak as \(mac) (allow.macs)"
                    : "\(peer.name) may NOT speak as \(mac): what it answers is dropped here (macNotAllowed); see allow.macs"
            )
        case .address, .station: break
        }
    }

    private mutating func say(_ stage: String, _ text: String...) {
        reply.steps.append(.init(stage, text.joined()))
    }

    private mutating func dropped(_ reason: String, _ stage: String, _ text: String) -> TraceReply {
        say(stage, text)
        reply.outcome = .dropped
        reply.reason = reason
        return reply
    }

    /// The MAC address of a group (RFC 1112, 6.4; RFC 2464, 7); nil for one host's address.
    private static func group(of address: IPAddress) -> MACAddress? {
        switch address {
        case .v4(let address):
            if address.rawValue == .max { return .broadcast }
            return address.rawValue >> 28 == 14
                ? MACAddress(0x0100_5e00_0000 | UInt64(address.rawValue & 0x7f_ffff)) : nil
        case .v6(let address):
            return address.high >> 56 == 0xff ? MACAddress(0x3333_0000_0000 | address.low & 0xffff_ffff) : nil
        }
    }
}
