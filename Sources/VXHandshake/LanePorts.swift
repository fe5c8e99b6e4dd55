import VXWire

/// From which port a lane's datagrams to a peer leave (protocol.md, 2a).
public enum LanePort: String, Sendable {
    /// A port of the lane's own, which spreads the lanes over paths and queues.
    case own
    /// The listen port: lane 0 always; every lane with `sourcePorts: fixed`, behind a translator, or towards a peer
    /// without a configured endpoint.
    case fixed
    /// The listen port, since nothing that left from the lane's own port arrived.
    case black
}

/// What one lane shall send so that the peer's next reports tell whether its own port gets through.
public enum LaneCheck: Sendable {
    /// An empty datagram, as frames would leave now.
    case keepalive
    /// A black lane's: so many empty datagrams from the lane's own port, then one from the listen port. Frames go on from
    /// the listen port meanwhile.
    case trial(count: Int)
}

/// Which port each of this node's lanes is sent to one peer from. Times and reports come in; nothing here sends.
///
/// A lane turns black when the peer's reports show for 5 s that it gets nothing of what the lane sends. So that this is
/// found out at once and not by somebody's traffic, a lane that no report has shown yet sends an empty datagram a second.
/// A black lane is tried every 60 s without putting frames at risk: the losses in the reports rise by fewer than the
/// trial's datagrams when any of them came through.
struct LanePortChoice {
    /// The peer saw this node elsewhere than where it is.
    var isTranslatedHere = false
    /// The peer said that it is seen elsewhere than where it is.
    var isTranslatedThere = false
    /// By configuration, or for want of a configured endpoint.
    var isConfiguredFixed: Bool
    /// Lane 1 first.
    private var watches: [Watch]
    /// The pair that the watches' numbers are about.
    private var pair: ReceiverIndex?

    /// - Parameters:
    ///   - lanes: how many this node sends on.
    ///   - isFixed: `isConfiguredFixed`.
    init(lanes: UInt8, isFixed: Bool) {
        isConfiguredFixed = isFixed
        watches = Array(repeating: Watch(), count: Int(lanes) - 1)
    }

    private var isFixed: Bool { isConfiguredFixed || isTranslatedHere || isTranslatedThere }

    /// By lane.
    var ports: [LanePort] {
        [.fixed] + watches.map { isFixed ? .fixed : $0.isBlack ? .black : .own }
    }

    /// The peer is elsewhere now: what was learned of the way to it is void.
    mutating func forgetPath() {
        watches = Array(repeating: Watch(), count: watches.count)
        pair = nil
    }

    /// Takes what every lane has sent under the pair in use.
    /// - Parameter counters: by lane, the next counter of each.
    mutating func noteSent(_ counters: [UInt64], under pair: ReceiverIndex, now: Instant) {
        if pair != self.pair {
            self.pair = pair
            for place in watches.indices { watches[place].startOver() }
        }
        guard !isFixed else { return }
        for (place, counter) in counters.dropFirst().enumerated() where place < watches.count {
            watches[place].noteSent(counter, now: now)
        }
    }

    /// Takes a report of the peer; one of another pair than that in use says nothing about now.
    mutating func noteReport(_ lanes: [ControlMessage.LaneReport], of pair: ReceiverIndex, now: Instant) {
        guard pair == self.pair, !isFixed else { return }
        for (place, report) in lanes.dropFirst().enumerated() where place < watches.count {
            watches[place].noteReport(report, now: now)
        }
    }

    /// What the lanes shall send now.
    mutating func checks(now: Instant) -> [(lane: Int, check: LaneCheck)] {
        guard pair != nil, !isFixed else { return [] }
        return watches.indices.compactMap { place in
            watches[place].check(now: now).map { (lane: place + 1, check: $0) }
        }
    }
}

extension LanePortChoice {
    /// One lane towards one peer.
    private struct Watch {
        var isBlack = false
        /// A report has shown something of this lane since the path was new.
        private var isHeard = false
        private var keepalivesLeft = HandshakeConstants.mostLaneKeepalives
        private var nextCheck: Instant?

        // Of the pair in use.
        private var sent: UInt64 = 0
        private var received: UInt64 = 0
        private var lost: UInt64 = 0
        /// What had been sent when something was last reported as received, and since when there is more.
        private var sentWhenHeard: UInt64 = 0
        private var unheardSince: Instant?
        private var trial: Trial?

        private struct Trial {
            let startedAt: Instant
            let lostBefore: UInt64
            /// A report that reaches this counter covers the trial's datagrams; nil until the lane has surely sent them.
            var lastCounter: UInt64?
        }

        mutating func startOver() {
            sent = 0
            received = 0
            lost = 0
            sentWhenHeard = 0
            unheardSince = nil
            trial = nil
        }

        mutating func noteSent(_ counter: UInt64, now: Instant) {
            sent = counter
            if !isBlack, unheardSince == nil, sent > sentWhenHeard { unheardSince = now }
            if let started = trial?.startedAt, trial?.lastCounter == nil, sent > 0,
                now.since(started) >= HandshakeConstants.laneTrialSettling
            {
                trial?.lastCounter = sent - 1
            }
        }

        mutating func noteReport(_ report: ControlMessage.LaneReport, now: Instant) {
            let isProgress = report.received > received
            received = max(received, report.received)
            lost = report.lost
            if isBlack { return judgeTrial(report, now: now) }
            if isProgress {
                isHeard = true
                sentWhenHeard = sent
                unheardSince = nil
            } else if let since = unheardSince, now.since(since) >= HandshakeConstants.blackLaneTime,
                sent - min(sentWhenHeard, sent) >= HandshakeConstants.blackLaneDatagrams
            {
                isBlack = true
                unheardSince = nil
                nextCheck = now + HandshakeConstants.blackLaneRetry
            }
        }

        private mutating func judgeTrial(_ report: ControlMessage.LaneReport, now: Instant) {
            guard let trial, let last = trial.lastCounter, report.received > 0, report.highestCounter >= last else {
                return
            }
            self.trial = nil
            guard lost < trial.lostBefore + UInt64(HandshakeConstants.laneTrialDatagrams) else { return }
            isBlack = false
            isHeard = true
            sentWhenHeard = sent
        }

        mutating func check(now: Instant) -> LaneCheck? {
            if let next = nextCheck, now < next { return nil }
            if isBlack {
                nextCheck = now + HandshakeConstants.blackLaneRetry
                trial = Trial(startedAt: now, lostBefore: lost)
                return .trial(count: HandshakeConstants.laneTrialDatagrams)
            }
            guard !isHeard, keepalivesLeft > 0 else { return nil }
            keepalivesLeft -= 1
            nextCheck = now + HandshakeConstants.laneKeepalive
            return .keepalive
        }
    }
}

// What the machine does with it.
extension HandshakeMachine {
    /// The peer has said in its response where it saw this node; `isOwn` when that is one of its addresses, and the port
    /// its listen port.
    mutating func noteObserved(_ peer: PeerMachine, isOwn: Bool) {
        peer.ports.isTranslatedHere = !isOwn
        tellPorts(of: peer)
    }

    /// The peer has found a translator between, or none.
    mutating func notePorts(_ use: ControlMessage.PortUse, of peer: PeerMachine) {
        peer.ports.isTranslatedThere = use == .fixed
        tellPorts(of: peer)
    }

    mutating func noteReport(
        _ lanes: [ControlMessage.LaneReport],
        of peer: PeerMachine,
        pair: ReceiverIndex,
        now: Instant
    ) {
        act(.reported(peer.index, pair, lanes))
        peer.ports.noteReport(lanes, of: pair, now: now)
        tellPorts(of: peer)
    }

    mutating func checkLanes(of peer: PeerMachine, now: Instant) {
        for (lane, check) in peer.ports.checks(now: now) { act(.checkLane(peer.index, lane: lane, check)) }
    }

    /// Tells the lanes when a port has changed, and at the start.
    mutating func tellPorts(of peer: PeerMachine) {
        let ports = peer.ports.ports
        guard ports != peer.toldPorts else { return }
        peer.toldPorts = ports
        act(.lanePorts(peer.index, ports))
    }
}
