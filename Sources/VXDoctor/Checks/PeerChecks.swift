import VXConfig
import VXControlSocket
import VXDaemon
import VXDataPlane
import VXWire

/// What the daemon says of its peers and drops.
enum PeerChecks {
    /// Losses below this of 100 datagrams are no finding.
    private static let lossPercent: UInt64 = 1
    /// The link's own noise.
    private static let leastLost: UInt64 = 100
    /// Seconds. Handshakes are repeated for some, and clocks that somebody keeps are much closer.
    private static let mostClockDifference: UInt64 = 60

    static func run(_ node: Examination) -> [Finding] {
        guard let status = node.status else { return [] }
        let peers = status.peers.filter { peer in node.peer == nil || peer.name == node.peer }
        let checks: [(PeerStatus) -> [Finding]] = [reachable, lanes, { path($0, status) }, losses, tripwires, clock]
        return peers.flatMap { peer in checks.flatMap { $0(peer) } } + drops(status)
    }

    private static func reachable(_ peer: PeerStatus) -> [Finding] {
        switch peer.state {
        case "contested":
            return [
                Finding(
                    .error,
                    "peers.contested",
                    .peers,
                    "two different next keys were stated in \(peer.name)'s name",
                    why: "somebody else may hold its key; its key stays as it is until somebody decides",
                    mend: "vxseal rotate status; then rotate accept \(peer.name) KEY, or rotate forget \(peer.name)"
                )
            ]
        case "down" where peer.endpoint == nil:
            return [
                Finding(
                    .info,
                    "peers.silent",
                    .peers,
                    "\(peer.name) has no endpoint, and has not called yet",
                    why: "frames for it wait, and are then dropped, until it does",
                    mend: "on it: vxseal status; or give it an endpoint here"
                )
            ]
        case "down", "handshaking":
            let place = peer.endpoint ?? "an endpoint that is not known until it calls"
            return [
                Finding(
                    .error,
                    "peers.unreachable",
                    .peers,
                    "\(peer.name) has no session; it is at \(place)",
                    why: "frames for it wait, and are then dropped",
                    mend:
                        "on it: vxseal status; between: does UDP pass both ways, also fragments; on both: vxseal pubkey, "
                        + "and the same preshared key"
                )
            ]
        default: return []
        }
    }

    private static func lanes(_ peer: PeerStatus) -> [Finding] {
        let black = peer.lanePorts.indices.filter { peer.lanePorts[$0] == "black" }
        guard !black.isEmpty else { return [] }
        let which = black.map(String.init).joined(separator: ", ")
        return [
            Finding(
                .warning,
                "peers.blackLane",
                .peers,
                "what \(black.count == 1 ? "lane" : "lanes") \(which) of this node \(black.count == 1 ? "sends" : "send") to "
                    + "\(peer.name) arrives from the listen port alone",
                why: "all lanes share one flow then: one queue of the network cards, one path of the switches",
                mend:
                    "between: let UDP to the port of \(peer.endpoint ?? peer.name) pass whatever port it comes from; or name "
                    + "the ports here, lanePorts: [...], and open those; or sourcePorts: fixed"
            )
        ]
    }

    private static func clock(_ peer: PeerStatus) -> [Finding] {
        guard let ahead = peer.clockAheadSeconds, ahead.magnitude > mostClockDifference else { return [] }
        return [
            Finding(
                .warning,
                "clock.peer",
                .clock,
                "the clock of \(peer.name) is \(ahead.magnitude) s \(ahead > 0 ? "ahead of" : "behind") this machine's",
                why: "handshakes bear the time: a node whose clock is set back calls in vain until it is where it was",
                mend: "timedatectl on both; on the wrong one: timedatectl set-ntp true, or chronyc makestep"
            )
        ]
    }

    private static func path(_ peer: PeerStatus, _ status: StatusReply) -> [Finding] {
        guard let mtu = peer.pathMTU, let endpoint = peer.endpoint else { return [] }
        let isIPv6 = endpoint.hasPrefix("[")
        let headers = VTEP.udpOverhead(isIPv6: isIPv6)
        let needed = MessageType.initiation.size + headers
        if mtu < needed {
            return [
                Finding(
                    .warning,
                    "peers.smallPath",
                    .peers,
                    "the path to \(peer.name) carries \(mtu) bytes; a handshake has \(needed)",
                    why:
                        "handshakes pass as fragments alone: a firewall that drops these cuts the peer off at the next one",
                    mend: "a larger MTU on the path; or let fragments of UDP pass"
                )
            ]
        }
        let inner = mtu - headers - VTEP.headroom - VTEP.tailroom - EthernetFrame.headerLength
        guard let device = status.networks.compactMap({ $0.device == nil ? nil : $0.mtu }).max(), inner < device else {
            return []
        }
        return [
            Finding(
                .info,
                "peers.path",
                .peers,
                "the path to \(peer.name) carries packets of \(inner) bytes, the device sends up to \(device)",
                why: "TCP is cut to fit; other large packets are answered \"too big\", or fragmented",
                mend: "mtu: \(inner) at the network, if all should be sent whole"
            )
        ]
    }

    private static func losses(_ peer: PeerStatus) -> [Finding] {
        [("from", peer.lost.received, peer.received.datagrams), ("to", peer.lost.sent, peer.sent.datagrams)].compactMap
        {
            way,
            lost,
            whole in
            guard lost >= leastLost, lost * 100 >= (whole + lost) * lossPercent else { return nil }
            return Finding(
                .warning,
                "peers.loss",
                .peers,
                "\(lost) of \(whole + lost) datagrams \(way) \(peer.name) were lost",
                why: "streams are slow then; the path, or a socket's buffer, is overrun",
                mend: "vxseal ping \(peer.name) -i 0.01 -c 1000; look at the interfaces between: ip -s link"
            )
        }
    }

    private static func tripwires(_ peer: PeerStatus) -> [Finding] {
        guard peer.tripwires > 0 else { return [] }
        return [
            Finding(
                .error,
                "peers.tripwire",
                .peers,
                "\(peer.tripwires) plaintext datagrams came in \(peer.name)'s name, last from \(peer.lastTripwireSource ?? "?")",
                why: "somebody forges, or a program there sends VXLAN that it should seal; they were dropped",
                mend: "on \(peer.name): ip -d link show type vxlan; vxseal capture --outer --dropped"
            )
        ]
    }

    /// Drops that point to a mistake or an attack.
    private static func drops(_ status: StatusReply) -> [Finding] {
        DropReason.allCases.compactMap { reason in
            guard reason != .staleTimestamp, let count = status.drops[reason.name], count > 0,
                let meaning = DropTally.meaning(of: reason)
            else { return nil }
            return Finding(
                .info,
                "drops.\(reason.name)",
                .peers,
                "\(count) dropped as \(reason.name) since the daemon's start",
                why: meaning,
                mend: "vxseal capture --dropped shows them"
            )
        }
    }
}
