import VXConfig
import VXControlSocket
import VXDataPlane
import VXLinux
import VXWire

/// Makes pcapng of what the threads have captured: the packets of all threads in the order of their times, each with a comment
/// that says what the node knew of it.
struct CaptureFeed {
    /// Where a packet belongs in the file.
    private enum Source: Hashable {
        case underlay
        case network(VNI)
        /// Frames whose VNI no network here has.
        case unknown
    }

    private struct Interface {
        let number: Int
        var delivered: UInt64 = 0
        var lost: UInt64 = 0
        var toldLost: UInt64 = 0
    }

    /// Bytes of blocks after which they are written.
    private static let blocksPerPiece = 256 << 10

    private let request: CaptureRequest
    private let initial: Roster
    private let networks: [VNI?]
    private var addresses: UnderlayAddresses
    private var writer = PcapngWriter()
    private var interfaces: [Source: Interface] = [:]
    private var startedAt: UInt64 = 0
    /// By buffer: the time of its last packet. A batch's packets have the time it was read at; some have been sent since.
    private var times: [Instant] = []

    /// - Parameters:
    ///   - request: what is asked for.
    ///   - roster: of when the capture begins.
    ///   - networks: the VNIs of that moment by place, by which the buffers count losses.
    ///   - addresses: this node's addresses towards others.
    init(request: CaptureRequest, roster: Roster, networks: [VNI?], addresses: UnderlayAddresses) {
        self.request = request
        initial = roster
        self.networks = networks
        self.addresses = addresses
    }

    /// Packets so far.
    var captured: UInt64 { interfaces.values.reduce(0) { $0 + $1.delivered } }

    /// Packets that were lost by the time that the losses were last told.
    var lost: UInt64 { interfaces.values.reduce(0) { $0 + $1.lost } }

    /// The file's header, and an interface for the underlay and each network that is asked for.
    mutating func begin(at time: UInt64) -> [UInt8] {
        startedAt = time
        writer.addSection(comment: "node=\(initial.configuration.node)")
        if request.wantsOuter { _ = interface(of: .underlay, in: initial) }
        if request.wantsInner {
            for (_, network) in initial.orderedNetworks
            where request.vni == nil || network.configuration.vni.rawValue == request.vni {
                _ = interface(of: .network(network.configuration.vni), in: initial)
            }
        }
        return writer.take()
    }

    /// A piece of what is in the buffers, which have its room again then, behind what was lost by now; empty when nothing is.
    mutating func drain(_ buffers: [CaptureBuffer], roster: Roster) -> [UInt8] {
        tellLosses(of: buffers)
        // The lanes' times are those of the clock that packets are handled by.
        let offset = Clocks.unixTime() &- Clocks.bootTime().nanoseconds
        var names: [PeerIndex: String] = [:]
        if times.isEmpty { times = buffers.map { _ in Instant(nanoseconds: 0) } }
        var heads = buffers.map { $0.next() }
        while writer.bytes.count < Self.blocksPerPiece {
            var first: Int?
            for (place, head) in heads.enumerated() {
                guard let head else { continue }
                if let known = first.flatMap({ heads[$0] }), known.label.time <= head.label.time { continue }
                first = place
            }
            guard let first, let packet = heads[first] else { break }
            times[first] = max(times[first], packet.label.time)
            add(packet, at: times[first].nanoseconds &+ offset, roster: roster, names: &names)
            buffers[first].release()
            heads[first] = buffers[first].next()
        }
        // What was looked at and not taken is looked at again.
        for (buffer, head) in zip(buffers, heads) where head != nil { buffer.putBack() }
        return writer.take()
    }

    /// How much of each interface was kept and lost so far.
    mutating func statistics(of buffers: [CaptureBuffer]) -> [UInt8] {
        noteLosses(of: buffers)
        addStatistics { _ in true }
        return writer.take()
    }

    /// What was lost since it was last told, in front of what follows.
    private mutating func tellLosses(of buffers: [CaptureBuffer]) {
        noteLosses(of: buffers)
        addStatistics { $0.lost > $0.toldLost }
    }

    private mutating func noteLosses(of buffers: [CaptureBuffer]) {
        noteLoss(buffers.reduce(0) { $0 + $1.lostDatagrams }, of: .underlay)
        noteLoss(buffers.reduce(0) { $0 + $1.lostOthers }, of: .unknown)
        for (place, vni) in networks.enumerated() {
            if let vni { noteLoss(buffers.reduce(0) { $0 + $1.lostFrames(of: place) }, of: .network(vni)) }
        }
    }

    private mutating func noteLoss(_ count: UInt64, of source: Source) {
        guard count > 0 else { return }
        // Losses without a packet have an interface all the same.
        _ = interface(of: source, in: initial)
        interfaces[source]?.lost = count
    }

    private mutating func addStatistics(where isWanted: (Interface) -> Bool) {
        let now = Clocks.unixTime()
        for (source, interface) in interfaces.sorted(by: { $0.value.number < $1.value.number })
        where isWanted(interface) {
            interfaces[source]?.toldLost = interface.lost
            writer.addStatistics(
                interface: interface.number,
                start: startedAt,
                end: now,
                delivered: interface.delivered,
                dropped: interface.lost
            )
        }
    }

    private mutating func add(
        _ packet: CapturedPacket,
        at time: UInt64,
        roster: Roster,
        names: inout [PeerIndex: String]
    ) {
        let label = packet.label
        var name: String?
        if let peer = label.peer {
            name = names[peer] ?? roster.name(of: peer)
            names[peer] = name
            // The index may be another peer's by now.
            if let wanted = request.peer, name != wanted { return }
        }
        let source = source(of: label, in: roster)
        let number = interface(of: source, in: roster)
        var header: [UInt8] = []
        if let remote = label.remote {
            let local = Endpoint(address: addresses.address(towards: remote), port: label.localPort)
            header = UnderlayHeader.bytes(
                from: label.isSent ? local : remote,
                to: label.isSent ? remote : local,
                payload: packet.bytes,
                length: label.length,
                trafficClass: label.trafficClass
            )
        }
        writer.add(
            PcapngWriter.Packet(
                interface: number,
                time: time,
                length: label.length + header.count,
                isSent: label.isSent,
                comment: Self.comment(label, peer: name)
            ),
            header: header,
            body: packet.bytes
        )
        interfaces[source]?.delivered += 1
    }

    /// What the node knew of a packet, as `name=value` words.
    static func comment(_ label: CaptureLabel, peer: String?) -> String {
        var words: [String] = []
        if let peer { words.append("peer=\(peer)") }
        if let vni = label.vni { words.append("vni=\(vni.rawValue)") }
        words.append(label.lane == CaptureLabel.noLane ? "lane=handshake" : "lane=\(label.lane)")
        words.append("direction=\(label.isSent ? "out" : "in")")
        if label.epoch > 0 { words.append("epoch=\(label.epoch)") }
        if label.segmentSize > 0 { words.append("super-frame=\(label.segmentSize)") }
        if label.isPartial { words.append("checksum=partial") }
        if let reason = label.dropped { words.append("drop=\(reason.name)") }
        return words.joined(separator: " ")
    }

    private func source(of label: CaptureLabel, in roster: Roster) -> Source {
        if label.isOuter { return .underlay }
        guard let vni = label.vni else { return .unknown }
        return interfaces[.network(vni)] != nil || roster.network(of: vni) != nil ? .network(vni) : .unknown
    }

    private mutating func interface(of source: Source, in roster: Roster) -> Int {
        if let known = interfaces[source] { return known.number }
        let number = interfaces.count
        interfaces[source] = Interface(number: number)
        var name = "unknown"
        var description = "frames whose VNI no network of this node has"
        switch source {
        case .underlay:
            name = "underlay"
            description = "outer datagrams; their IP and UDP headers are made anew"
        case .network(let vni):
            let network = roster.network(of: vni)?.configuration
            name = network.map { $0.hasDevice ? $0.device : "vni\(vni.rawValue)" } ?? "vni\(vni.rawValue)"
            description = "VNI \(vni.rawValue), \(network?.mode.rawValue ?? "gone"), inner frames"
        case .unknown: break
        }
        writer.addInterface(
            source == .underlay ? .raw : .ethernet,
            snap: request.snap ?? 0,
            name: name,
            description: description,
            filter: request.summary
        )
        return number
    }
}

/// This node's address towards others, as the routing table has it.
struct UnderlayAddresses {
    /// Others that are remembered; a flood from everywhere has no more.
    private static let most = 1024
    /// Routes change.
    private static let lifetime = Interval.seconds(10)

    private let listen: [Endpoint]
    private var known: [Endpoint: IPAddress] = [:]
    private var since = Instant(nanoseconds: 0)

    /// - Parameter listen: where the node listens; an address there is the node's own.
    init(listen: [Endpoint]) { self.listen = listen }

    /// The node's own address towards another; the unspecified one when there is no route.
    mutating func address(towards remote: Endpoint) -> IPAddress {
        let isIPv6 = remote.address.isIPv6
        let any = isIPv6 ? IPAddress.v6(IPv6Address(high: 0, low: 0)) : .v4(IPv4Address(0))
        let own = listen.filter { $0.address.isIPv6 == isIPv6 && $0.address != any }
        if own.count == 1 { return own[0].address }
        let now = Clocks.bootTime()
        if known.count >= Self.most || now.since(since) >= Self.lifetime {
            known.removeAll()
            since = now
        }
        let host = Endpoint(address: remote.address, port: 9, scope: remote.scope)
        if let address = known[host] { return address }
        let address = UnderlayRoute.localAddress(towards: host) ?? any
        known[host] = address
        return address
    }
}
