import VXWire

/// Finds what IP packet length the path to one peer carries: DPLPMTUD (RFC 8899) with probes inside the session
/// (protocol.md, 5). Forged ICMP has no part in it.
///
/// A path is taken to carry what the interface does until three probes of that size are lost; then 1280 bytes, which IPv6
/// asks of every path, and more as probes of more arrive. Several sizes are tried at once, so that most of the room is
/// found within a round trip.
struct PathMTUSearch {
    /// A packet to send: its whole IP length, and the number it is acknowledged by.
    struct Probe: Equatable {
        let size: Int
        let identifier: UInt32
    }

    private enum Phase {
        case idle
        /// Sizes on trial above what is known to pass.
        case searching
        /// The size in use, tried again under traffic.
        case confirming
    }

    /// What packets to the peer may measure, in bytes of IP packet.
    private(set) var current: Int
    private var ceiling: Int
    /// The least size that is known not to pass.
    private var tooLarge: Int?
    private var phase = Phase.idle
    private var sizes: [Int] = []
    private var acknowledged: Set<Int> = []
    private var attempt = 0
    private var identifier: UInt32
    private var due: Instant
    private var raiseAt: Instant
    private var timeout: Interval

    /// Starts with the interface's MTU, which the first probe tries.
    init(interfaceMTU: Int, roundTrip: Interval?, firstIdentifier: UInt32, now: Instant) {
        ceiling = max(interfaceMTU, HandshakeConstants.basePathMTU)
        current = ceiling
        identifier = firstIdentifier
        let tripled = Interval(nanoseconds: (roundTrip?.nanoseconds ?? 0) &* 3)
        timeout = min(max(tripled, HandshakeConstants.leastProbeTimeout), HandshakeConstants.mostProbeTimeout)
        due = now
        raiseAt = now + HandshakeConstants.pathMTURaise
        phase = .confirming
        sizes = [ceiling]
    }

    /// The interface's MTU may change at any time.
    mutating func setInterfaceMTU(_ mtu: Int, now: Instant) {
        let limit = max(mtu, HandshakeConstants.basePathMTU)
        guard limit != ceiling else { return }
        ceiling = limit
        tooLarge = nil
        current = min(current, ceiling)
        search(now: now)
    }

    /// Probes that are due. `hasTraffic`: something was sent to the peer since the last call.
    mutating func probes(now: Instant, hasTraffic: Bool) -> [Probe] {
        guard now >= due else { return [] }
        switch phase {
        case .idle:
            if now >= raiseAt {
                tooLarge = nil
                search(now: now)
                guard case .searching = phase else { return [] }
            } else {
                guard hasTraffic else { return [] }
                phase = .confirming
                begin([current], now: now)
            }
        case .searching, .confirming:
            guard attempt >= HandshakeConstants.mostProbes else { break }
            conclude(now: now)
            guard now >= due else { return [] }
            if case .idle = phase { return [] }
        }
        attempt += 1
        due = now + timeout
        return sizes.filter { !acknowledged.contains($0) && $0 > (acknowledged.max() ?? 0) }
            .map { Probe(size: $0, identifier: identifier) }
    }

    /// Takes an acknowledgement; one of no outstanding probe says nothing.
    mutating func acknowledge(size: Int, identifier: UInt32, now: Instant) {
        guard identifier == self.identifier, sizes.contains(size) else { return }
        acknowledged.insert(size)
        if case .searching = phase { current = max(current, size) }
        guard size == sizes.last else { return }
        conclude(now: now)
    }

    /// When `probes` may have something.
    var nextTimeout: Instant { due }

    /// All answers that come have come.
    private mutating func conclude(now: Instant) {
        switch phase {
        case .idle: break
        case .confirming:
            if acknowledged.isEmpty {
                // A black hole: back to what every path carries, and up again.
                tooLarge = current
                current = HandshakeConstants.basePathMTU
                search(now: now)
            } else {
                rest(now: now)
            }
        case .searching:
            if let failed = sizes.first(where: { $0 > current }) { tooLarge = min(tooLarge ?? failed, failed) }
            search(now: now)
        }
    }

    /// Tries sizes between what passes and what does not, or rests when they are close.
    private mutating func search(now: Instant) {
        let limit = tooLarge ?? ceiling + 1
        guard limit - current > HandshakeConstants.pathMTUGranularity else { return rest(now: now) }
        phase = .searching
        let room = limit - 1 - current
        let count = min(HandshakeConstants.probesAtOnce, room)
        begin((1...count).map { current + room * $0 / count }, now: now)
    }

    private mutating func rest(now: Instant) {
        if case .searching = phase { raiseAt = now + HandshakeConstants.pathMTURaise }
        phase = .idle
        due = now + HandshakeConstants.pathMTUConfirmation
        raiseAt = max(raiseAt, due)
    }

    private mutating func begin(_ sizes: [Int], now: Instant) {
        self.sizes = sizes
        acknowledged = []
        attempt = 0
        identifier &+= 1
        due = now
    }
}
