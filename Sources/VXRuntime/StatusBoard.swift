import Synchronization
import VXDataPlane
public import VXHandshake
public import VXWire

/// What the handshake thread knows of each peer, for whoever asks for the status.
public final class StatusBoard: Sendable {
    /// Datagrams of all sessions that did not come as they were sent.
    public struct Losses: Sendable, Equatable {
        /// From the peer, never arrived.
        public var received: UInt64 = 0
        /// To the peer, never arrived, by its reports.
        public var sent: UInt64 = 0
        /// From the peer, twice; the second was dropped.
        public var duplicated: UInt64 = 0
        /// From the peer, behind a later one.
        public var reordered: UInt64 = 0

        /// None.
        public init() {}

        private init(received: UInt64, sent: UInt64, duplicated: UInt64, reordered: UInt64) {
            self.received = received
            self.sent = sent
            self.duplicated = duplicated
            self.reordered = reordered
        }

        static func + (left: Losses, right: Losses) -> Losses {
            Losses(
                received: left.received + right.received,
                sent: left.sent + right.sent,
                duplicated: left.duplicated + right.duplicated,
                reordered: left.reordered + right.reordered
            )
        }
    }

    /// A session that stands or receives its last.
    struct Session: Sendable {
        let counters: PairCounters
        var lostSent: UInt64 = 0
        var isSuperseded = false
        /// Reports on it that came after a newer one took over.
        var closingReports = 0

        var losses: Losses {
            var losses = Losses()
            losses.received = counters.report.reduce(0) { $0 + $1.lost }
            losses.sent = lostSent
            for thread in 0..<counters.threads {
                losses.duplicated += counters.session(thread: thread).duplicates
                losses.reordered += counters.session(thread: thread).reordered
            }
            return losses
        }
    }

    /// Plaintext in a keyed peer's name.
    public struct Tripwire: Sendable {
        /// When it came.
        public let at: Instant
        /// The address it came from, which is the peer's, and its port.
        public let source: Endpoint
    }

    /// One peer's entry.
    public struct Entry: Sendable {
        /// Where it is.
        public var endpoint: Endpoint?
        /// Whether frames flow.
        public var state = PeerState.down
        /// When the newest session was made.
        public var establishedAt: Instant?
        /// The round trip of the last handshake that this node started.
        public var roundTrip: Interval?
        /// Whether this node began the newest session, and so renews it.
        public private(set) var isInitiator = false
        /// Of echo requests within the session.
        public internal(set) var roundTrips = RoundTrips()
        /// How many sessions were made.
        public var handshakes: UInt64 = 0
        /// The name the peer gives itself.
        public var hello: String?
        /// By how much its clock is ahead of this node's, in its last initiation.
        public var clockAheadSeconds: Int64?
        /// What the path carries, in bytes of IP packet, once known.
        public var pathMTU: Int?
        /// How many lanes it announced, in the newest session.
        public var announcedLanes: Int?
        /// From which port each lane of this node is sent to it, lane 0 first.
        public var lanePorts: [LanePort] = []
        /// The last plaintext that claimed to come from the peer, within a second.
        public var tripwire: Tripwire?
        /// When the session's keys are renewed if nothing comes between; nil without a session.
        public var renewal: Instant? {
            establishedAt.map { established in
                established
                    + (isInitiator ? HandshakeConstants.rekeyAfterTime : HandshakeConstants.rekeyAfterTimeResponder)
            }
        }
        private var sessions: [ReceiverIndex: Session] = [:]
        private var endedLosses = Losses()

        init(endpoint: Endpoint?) { self.endpoint = endpoint }

        mutating func establish(
            _ index: ReceiverIndex,
            at instant: Instant,
            roundTrip: Interval?,
            counters: PairCounters
        ) {
            establishedAt = instant
            isInitiator = roundTrip != nil
            self.roundTrip = roundTrip ?? self.roundTrip
            handshakes += 1
            announcedLanes = counters.receiveLanes
            for older in sessions.keys { sessions[older]?.isSuperseded = true }
            sessions[index] = Session(counters: counters)
        }

        mutating func end(_ index: ReceiverIndex) {
            guard let session = sessions.removeValue(forKey: index) else { return }
            endedLosses = endedLosses + session.losses
        }

        mutating func report(_ index: ReceiverIndex, _ lanes: [ControlMessage.LaneReport]) {
            guard lanes.contains(where: { $0.received > 0 }), let counters = sessions[index]?.counters else { return }
            // The peer may say anything: no more is lost than was sent.
            sessions[index]?.lostSent = zip(lanes, 0..<counters.threads).reduce(0) { sum, lane in
                sum + min(lane.0.lost, counters.session(thread: lane.1).sendCounter)
            }
            if sessions[index]?.isSuperseded == true { sessions[index]?.closingReports += 1 }
        }

        /// Over all sessions.
        public var losses: Losses { sessions.values.reduce(endedLosses) { $0 + $1.losses } }

        /// Whether both ends have said their last of every session that was replaced.
        public var isSettled: Bool {
            sessions.values.allSatisfy {
                !$0.isSuperseded || $0.closingReports >= HandshakeConstants.closingReports.count
            }
        }
    }

    private let entries: Mutex<[PeerIndex: Entry]>

    /// With the configured endpoints.
    public init(endpoints: [PeerIndex: Endpoint?]) {
        entries = Mutex(endpoints.mapValues { Entry(endpoint: $0) })
    }

    func update(_ peer: PeerIndex, _ change: (inout Entry) -> Void) {
        entries.withLock { entries in
            guard var entry = entries[peer] else { return }
            change(&entry)
            entries[peer] = entry
        }
    }

    /// Shows a new peer under its index, with its configured endpoint.
    public func add(_ peer: PeerIndex, endpoint: Endpoint?) {
        entries.withLock { $0[peer] = Entry(endpoint: endpoint) }
    }

    /// A plaintext peer is elsewhere.
    public func move(_ peer: PeerIndex, to endpoint: Endpoint?) { update(peer) { $0.endpoint = endpoint } }

    /// Shows a peer no more that is gone.
    public func remove(_ peer: PeerIndex) { entries.withLock { $0[peer] = nil } }

    /// A copy of a peer's entry.
    public subscript(peer: PeerIndex) -> Entry? { entries.withLock { $0[peer] } }
}
