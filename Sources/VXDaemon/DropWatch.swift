import Logging
import ServiceLifecycle
import VXLinux
import VXRuntime
package import VXWire

/// Tells the log of drops that an operator should hear of: a mistake in a configuration, or somebody who tries something.
/// The first of a reason is told within a second, the next a minute later, with how many there were; `status` has the
/// exact counts.
struct DropWatch: Service {
    let runtime: Runtime
    let logger: Logger

    func run() async throws {
        var tally = DropTally()
        while await pause(.seconds(1)) {
            for line in tally.lines(now: Clocks.bootTime(), count: runtime.drops) {
                logger.warning(
                    "\(line.meaning)",
                    metadata: ["drop": "\(line.reason.name)", "count": "\(line.count)"]
                )
            }
        }
    }
}

/// What of the drop counters is due to be told.
package struct DropTally {
    /// One line of the log.
    struct Line {
        let reason: DropReason
        /// Since the last line about this reason.
        let count: UInt64
        let meaning: String
    }

    private var told: [DropReason: UInt64] = [:]
    private var interval = LogInterval<DropReason>()

    /// The lines that are due.
    mutating func lines(now: Instant, count: (DropReason) -> UInt64) -> [Line] {
        var lines: [Line] = []
        for reason in DropReason.allCases {
            guard let meaning = Self.meaning(of: reason) else { continue }
            let (total, known) = (count(reason), told[reason, default: 0])
            guard total > known, interval.allows(reason, now: now) else { continue }
            told[reason] = total
            lines.append(Line(reason: reason, count: total - known, meaning: meaning))
        }
        return lines
    }

    /// What the operator should think of; nil for what happens on any network.
    package static func meaning(of reason: DropReason) -> String? {
        switch reason {
        case .malformed, .unknownMessage, .reservedNotZero:
            "datagrams on the sealed port that are none of vxseal's"
        case .unknownReceiver: "datagrams for sessions that this node does not have; after a restart a few are normal"
        case .laneOutOfRange, .unknownRecordFlags, .truncatedRecord, .malformedControl, .invalidVXLANHeader,
            .invalidChecksumFlag:
            "a peer sends what this version does not understand; compare versions"
        case .replayed, .outsideWindow: "datagrams that came before: the path duplicates, or somebody replays them"
        case .authenticationFailed: "datagrams that were changed on their way, or forged"
        case .sourceMismatch: "a peer with `roaming: false` sends from another address than its endpoint"
        case .invalidMac1: "handshakes for another public key than this node's: a peer lists a wrong or an old one"
        case .handshakeFailed:
            "handshakes that do not authenticate: another preshared key, a wrong public key, another version, or a forgery"
        case .unknownPeer:
            "handshakes from a key that is none of the peers': one is missing here, or was rotated while this node had "
                + "lost its state (see: vxseal rotate accept)"
        case .staleTimestamp: "old handshakes again: a peer's clock went back, or somebody replays them"
        case .cookieSent, .rateLimited: "more handshakes than this node works on; sessions that stand are not affected"
        case .unexpectedResponse, .invalidCookie: "answers to handshakes that this node did not start, or late ones"
        case .invalidPayload: "handshakes that name what this node does not have"
        case .retiredKey: "somebody uses a key that a peer has rotated away: an old copy of that node, or a thief"
        case .pskRetired: "handshakes with a preshared key that was rotated away"
        case .invalidSuccessor, .staleSuccessor:
            "statements of a next key that prove nothing or are old; the peer's key stays as it is"
        case .successorConflict, .successorRefused:
            "statements of a next key that this node does not take; see: vxseal rotate status"
        case .invalidPSKExchange: "messages of a preshared key's rotation that fit none under way"
        case .invalidPlaintext: "datagrams on the plaintext port that are no VXLAN"
        case .unknownSource: "plaintext VXLAN from an address that is no configured peer's"
        case .plaintextForSealed: "plaintext for a sealed network: somebody is not encrypting, or tries to get in"
        case .relayStopped:
            "frames that were passed on came back: something else joins the sealed and the plaintext side, and broadcasts are "
                + "not passed on for 30 s; see the networks in: vxseal status"
        case .unknownVNI, .vniNotAllowed: "frames for a network that is not configured here, or not for that peer"
        case .loopSuspected: "this node's own address arrives from a peer: two nodes share it, or there is a loop"
        case .macNotAllowed, .exclusiveMAC, .sourceNotAllowed, .arpNotAllowed, .neighborNotAllowed:
            "somebody speaks for addresses that are not its own; see allow and fdb in the configuration"
        case .macFlap:
            "a station moved more than 5 times in 10 s and is held for 30 s: two have its address, or there is a loop"
        case .routerNotAllowed: "router advertisements or redirects from a peer without allow.router"
        case .dhcpServerNotAllowed: "DHCP answers from a peer without allow.router"
        case .hiddenHeaders: "a peer hides what its IPv6 packets carry"
        case .vlanNotAllowed: "frames of a VLAN that `vlan:` of their network does not list"
        case .floodLimited:
            "broadcast, multicast or unknown unicast beyond bumRate: a storm, a loop, or a limit too low"
        case .counterExhausted: "a session's counters are used up"
        case .sealFailed: "the cipher's library fails; choose another provider: cipher"
        case .deviceFailed: "the device did not take frames"
        case .invalidOffload: "the device gave super-frames that contradict themselves; try offloads: {tapTso: false}"
        case .laneHandover: "datagrams of a lane arrive at another's thread faster than they are handed over"
        case .keyMemoryExhausted:
            "the kernel gives no memory for another handshake's keys; see vm.max_map_count and memory limits"
        case .echoLimited: "a peer asks for more echoes than it gets answered"
        case .expiredKey, .handshakeLimited, .handshakeCrossed, .unknownRecord, .unknownControl, .shortFrame,
            .invalidSource, .linkLocal, .hairpin, .notFlooded, .notECNCapable, .tooBig, .noPeer, .noSession,
            .noEndpoint,
            // Told with the peer's name, by PeerWatch.
            .tripwire,
            .sendFailed, .mailboxFull:
            nil
        }
    }
}
