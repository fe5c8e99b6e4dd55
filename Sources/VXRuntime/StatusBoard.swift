import Synchronization
public import VXDataPlane
public import VXHandshake
public import VXWire

/// What the handshake thread knows of each peer, for whoever asks for the status.
public final class StatusBoard: Sendable {
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
        /// How many sessions were made.
        public var handshakes: UInt64 = 0
        /// The name the peer gives itself.
        public var hello: String?
        /// Datagrams of this session that the peer did not get, by its last report.
        public var lostSent: UInt64 = 0
        /// The newest session's counters, by lane.
        public var counters: [SessionCounters] = []

        /// The newest session.
        var session: ReceiverIndex?

        mutating func establish(
            _ index: ReceiverIndex,
            at instant: Instant,
            roundTrip: Interval?,
            counters: [SessionCounters]
        ) {
            session = index
            establishedAt = instant
            self.roundTrip = roundTrip ?? self.roundTrip
            handshakes += 1
            lostReceivedBefore += lostReceivedNow
            lostSentBefore += lostSent
            lostSent = 0
            self.counters = counters
        }

        private var lostReceivedBefore: UInt64 = 0
        private var lostSentBefore: UInt64 = 0

        private var lostReceivedNow: UInt64 {
            counters.first.map { $0.receiveEdge > $0.received ? $0.receiveEdge - $0.received : 0 } ?? 0
        }

        /// Datagrams from the peer that did not arrive, over all sessions.
        public var totalLostReceived: UInt64 { lostReceivedBefore + lostReceivedNow }
        /// Datagrams to the peer that did not arrive, over all sessions, by its reports.
        public var totalLostSent: UInt64 { lostSentBefore + lostSent }

        init(endpoint: Endpoint?) { self.endpoint = endpoint }
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

    /// Notes what the peer says it got under a session; of an older session it says nothing that counts any more.
    func report(_ peer: PeerIndex, session: ReceiverIndex, highest: UInt64, received: UInt64) {
        update(peer) { entry in
            guard entry.session == session, received > 0 else { return }
            entry.lostSent = highest + 1 > received ? highest + 1 - received : 0
        }
    }

    /// A copy of a peer's entry.
    public subscript(peer: PeerIndex) -> Entry? { entries.withLock { $0[peer] } }
}
