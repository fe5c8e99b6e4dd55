import ArgumentParser
import Foundation
import VXControlSocket

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the node, its networks, peers and drops.")

    @OptionGroup var options: SocketOptions

    @Flag(help: "Refresh every second until interrupted.")
    var watch = false

    func run() async throws {
        let socket = try SocketOptions.path(options.socket)
        let client = AdminClient(socket: socket)
        repeat {
            let status = try await asking { try await client.status() }
            if watch { print("\u{1b}[H\u{1b}[2J", terminator: "") }
            print(options.json ? try Terminal.json(status) : Self.text(status))
            if !options.json, let overlay = await OverlayLines(beside: socket) { print("\n" + overlay.text) }
            if watch { try await Task.sleep(for: .seconds(1)) }
        } while watch
    }

    static func text(_ status: StatusReply) -> String {
        var lines = [
            "node: \(status.node)", "  public key: \(status.publicKey)",
            "  listening: \(status.listen.joined(separator: ", "))",
            "  cipher: \(status.cipher), \(lanes(status)), up \(Terminal.span(status.uptimeSeconds))",
        ]
        if let sandbox = status.sandbox {
            lines.append("  sandbox: \(sandbox.text)")
            lines += sandbox.problems.map { "    \($0)" }
        }
        for network in status.networks {
            lines.append("")
            lines.append("network: \(network.vni)")
            lines.append(
                "  \(network.mode), \(network.device.map { "device \($0)" } ?? "no device"), MTU \(network.mtu)"
            )
            if let relay = network.relay {
                lines.append(
                    relay.isStopped
                        ? "  relay: broadcasts STOPPED for 30 s, for they came back: something else joins both sides"
                        : "  relay: on; stopped for a loop \(relay.stops) times"
                )
            }
            if let traffic = network.traffic {
                lines.append(
                    "  device: \(Terminal.bytes(traffic.receivedBytes)) from peers, "
                        + "\(Terminal.bytes(traffic.sentBytes)) for them"
                )
            }
            let fdb = network.fdb
            lines.append("  stations: \(fdb.learned) learned of \(fdb.limit) at most")
            if fdb.refused > 0 || fdb.frozen > 0 {
                lines.append(
                    "    not learned for want of place: \(fdb.refused); frozen for moving too often: \(fdb.frozen)"
                )
            }
            if let groups = network.groups {
                let queriers = [groups.hasIPv4Querier ? "IPv4" : nil, groups.hasIPv6Querier ? "IPv6" : nil].compactMap(
                    \.self
                )
                lines.append(
                    "  groups: \(groups.memberships) memberships of peers; "
                        + (queriers.isEmpty
                            ? "no querier, so all are flooded" : "queriers: \(queriers.joined(separator: ", "))")
                )
                if !groups.routers.isEmpty {
                    lines.append("    all groups go to: \(groups.routers.joined(separator: ", "))")
                }
                if groups.refused > 0 || groups.ignored > 0 {
                    lines.append(
                        "    not noted for want of place: \(groups.refused); messages not believed: \(groups.ignored)"
                    )
                }
            }
            if let neighbors = network.neighbors, neighbors.known > 0 || neighbors.answered > 0 {
                lines.append("  neighbours: \(neighbors.known) heard of, \(neighbors.answered) questions answered here")
            }
            lines += dropped(network.drops)
        }
        for peer in status.peers { lines += text(peer) }
        let drops = status.drops.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        if !drops.isEmpty {
            lines.append("")
            lines.append("drops:")
            lines += drops.map { "  \($0.key): \($0.value)" }
        }
        return lines.joined(separator: "\n")
    }

    private static func lanes(_ status: StatusReply) -> String {
        guard let steering = status.steering else { return "1 lane" }
        return "\(status.lanes) lanes (steering: \(steering))"
    }

    /// The most frequent reasons, as many as a line has room for.
    private static func dropped(_ drops: [String: UInt64]) -> [String] {
        guard !drops.isEmpty else { return [] }
        let reasons = drops.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let shown = reasons.prefix(3).map { "\($0.value) \($0.key)" }
        return ["  dropped: " + (shown + (reasons.count > 3 ? ["..."] : [])).joined(separator: ", ")]
    }

    private static func text(_ peer: PeerStatus) -> [String] {
        var lines = ["", "peer: \(peer.name)"]
        if let key = peer.publicKey { lines.append("  public key: \(key)") }
        lines.append("  endpoint: \(peer.endpoint ?? "unknown until it calls")")
        if peer.mode == "sealed" {
            let renewal = peer.nextRekeySeconds.map { ", next in \(Terminal.span($0))" } ?? ""
            let age = peer.keyAgeSeconds.map { ", key \(Terminal.span($0)) old\(renewal)" } ?? ""
            lines.append("  state: \(peer.state)\(age)\(peer.postQuantum ? ", post-quantum" : "")")
            if peer.state == "handshaking", let endpoint = peer.endpoint {
                lines += [
                    "  no answer yet: does vxseal run there, do the keys fit,",
                    "  does UDP pass to and from \(endpoint)?",
                ]
            }
            // Of a peer that never answered there is nothing else to say.
            guard peer.handshakes > 0 || peer.tripwires > 0 else { return lines }
            lines.append(
                "  handshakes: \(peer.handshakes), last \(Terminal.span(peer.lastHandshakeSecondsAgo)) ago"
            )
            if let rtt = peer.rtt {
                let times = [rtt.minMicroseconds, rtt.medianMicroseconds, rtt.p99Microseconds].map {
                    Terminal.milliseconds(Double($0))
                }
                lines.append("  round trip: \(times[1]), least \(times[0]), p99 \(times[2])")
            }
            if let mtu = peer.pathMTU { lines.append("  path MTU: \(mtu)") }
            if let lanes = peer.peerLanes, lanes > 1 || peer.lanePorts.count > 1 {
                lines.append("  lanes: \(lanes) from it; ports of ours: \(peer.lanePorts.joined(separator: ", "))")
            }
            lines.append(
                "  lost: \(peer.lost.received) received, \(peer.lost.sent) sent; "
                    + "\(peer.duplicated) duplicated, \(peer.reordered) reordered"
            )
        } else {
            lines.append("  state: plaintext VXLAN, not encrypted")
        }
        if peer.tripwires > 0 {
            let source = peer.lastTripwireSource.map { ", last from \($0)" } ?? ""
            lines.append(
                "  TRIPWIRE: \(peer.tripwires) plaintext datagrams in its name\(source), "
                    + "\(Terminal.span(peer.lastTripwireSecondsAgo)) ago"
            )
        }
        lines += dropped(peer.drops)
        lines.append(
            "  transfer: \(Terminal.bytes(peer.received.bytes)) received, \(Terminal.bytes(peer.sent.bytes)) sent"
        )
        if let rates = peer.rates, rates.receivedFrames + rates.sentFrames > 0 {
            lines.append(
                "  now: \(Terminal.rate(rates.receivedBytes)) received, \(Terminal.rate(rates.sentBytes)) sent"
            )
        }
        return lines
    }
}

struct Peers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the peers.")

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let client = try options.client()
        let status = try await asking { try await client.status() }
        if options.json { return print(try Terminal.json(status.peers)) }
        let rows = status.peers.map { peer in
            [
                peer.name, peer.state, peer.endpoint ?? "-", Terminal.span(peer.keyAgeSeconds),
                Terminal.bytes(peer.received.bytes), Terminal.bytes(peer.sent.bytes),
                peer.tripwires > 0 ? "\(peer.tripwires)" : "-",
            ]
        }
        print(Terminal.table(["PEER", "STATE", "ENDPOINT", "KEY AGE", "RECEIVED", "SENT", "TRIPWIRES"], rows))
    }
}

struct FDB: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fdb",
        abstract: "List the forwarding databases, or forget what was learned, all or in part."
    )

    @OptionGroup var options: SocketOptions

    @Flag(help: "Forget what was learned, then list what is left.")
    var flush = false

    @Option(help: "Only stations behind this peer.")
    var peer: String?

    @Option(help: "Only stations of this network.")
    var vni: UInt32?

    @Option(help: "Only this station.")
    var mac: String?

    func run() async throws {
        let client = try options.client()
        let request = flush ? FlushRequest(peer: peer, vni: vni, mac: mac) : nil
        var reply = try await asking {
            if let request { return try await client.flushForwardingDatabase(request) }
            return try await client.forwardingDatabase()
        }
        func isWanted(_ network: UInt32, _ address: String, _ holder: String?) -> Bool {
            vni.map { $0 == network } ?? true && mac.map { $0.lowercased() == address } ?? true
                && peer.map { $0 == holder } ?? true
        }
        reply.entries.removeAll { !isWanted($0.vni, $0.mac, $0.peer) }
        reply.groups.removeAll { !isWanted($0.vni, $0.mac, $0.peer) }
        if options.json { return print(try Terminal.json(reply)) }
        let rows = reply.entries.map {
            [String($0.vni), $0.mac, $0.peer ?? "-", $0.kind, Terminal.span($0.ageSeconds)]
        }
        print(Terminal.table(["VNI", "MAC", "PEER", "KIND", "AGE"], rows))
        guard !reply.groups.isEmpty else { return }
        let groups = reply.groups.map { [String($0.vni), $0.mac, $0.peer, Terminal.span($0.expiresInSeconds)] }
        print("\n" + Terminal.table(["VNI", "GROUP", "WANTED BY", "EXPIRES IN"], groups))
    }
}
