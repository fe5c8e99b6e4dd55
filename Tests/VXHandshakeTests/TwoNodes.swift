import Synchronization
import Testing
import VXCrypto
import VXHandshake
import VXWire

/// A repeatable source of numbers (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

/// Whether there is memory for another handshake's secrets.
final class KeyMemory: Sendable {
    private let state = Atomic(true)

    var isLeft: Bool {
        get { state.load(ordering: .relaxed) }
        set { state.store(newValue, ordering: .relaxed) }
    }
}

/// A node on virtual time, with lanes that do at once what they are asked.
final class SimulatedNode {
    var machine: HandshakeMachine
    let endpoint: Endpoint
    var installed: [ReceiverIndex: PairInstallation] = [:]
    var sending: PairInstallation?
    var sent: [(message: [UInt8], isTransport: Bool, to: Endpoint)] = []
    var drops: [DropReason: Int] = [:]
    var established = 0
    var roundTrips: [Interval] = []
    /// Sequence numbers of pings that came back.
    var echoes: [UInt32] = []
    /// By how many seconds its clock is ahead of the right one.
    var clock: UInt64 = 0
    /// What its sessions told of the peer's clock.
    var clocks: [Int64] = []
    /// What the machine is told when it makes sure of memory for secrets.
    let keyMemory = KeyMemory()

    init(identity: StaticKeyPair, endpoint: Endpoint, peer: PublicKey, psk: PresharedKey = .none, at remote: Endpoint?)
    {
        self.endpoint = endpoint
        machine = HandshakeMachine(
            identity: identity,
            name: "node",
            lanes: 1,
            peers: [
                HandshakePeer(
                    index: PeerIndex(0),
                    publicKey: peer,
                    presharedKey: psk,
                    endpoint: remote,
                    roaming: true,
                    keepalive: nil
                )
            ],
            lastTimestamp: TAI64N(seconds: 0, nanoseconds: 0),
            randomness: HandshakeRandomness(
                secrets: { .random() },
                number: { Random.number() },
                below: { Random.number(below: $0) },
                reserve: { [keyMemory] in keyMemory.isLeft }
            )
        )
    }

    /// Carries actions out until there are none.
    func settle(_ now: Now) {
        while let action = machine.nextAction() {
            switch action {
            case .send(let message, let target): sent.append((message, false, target))
            case .install(let pair):
                installed[pair.localIndex] = pair
                machine.handle(.installed(pair.localIndex), now: now)
            case .activate(let index, _, let announce):
                guard let pair = installed[index] else { continue }
                sending = pair
                if announce { send(under: pair) }
            case .retire(let index):
                installed[index] = nil
                if sending?.localIndex == index { sending = nil }
                machine.handle(.retired(index), now: now)
            case .stopSending(let index, _): if sending?.localIndex == index { sending = nil }
            case .dropped(let reason): drops[reason, default: 0] += 1
            case .established: established += 1
            case .keepalive, .report: if let sending { send(under: sending) }
            case .control(_, let message): if let sending { send(message, under: sending) }
            case .roundTrip(_, let interval): roundTrips.append(interval)
            case .echoed(_, _, let sequence): echoes.append(sequence)
            case .clock(_, let seconds): clocks.append(seconds)
            case .store(_, let number): machine.handle(.stored(number, succeeded: true), now: now)
            case .observed(let peer, let observed):
                machine.handle(.addressObserved(peer, isOwn: observed == endpoint), now: now)
            case .promote: machine.handle(.promoted(succeeded: true), now: now)
            case .dropWaiting, .peerState, .endpoint, .reported, .name, .probe, .lanePorts, .checkLane, .pathMTU,
                .notice, .judge, .traced:
                break
            }
        }
    }

    /// A transport datagram: header, a control message or nothing, and tag.
    func send(_ message: [UInt8] = [], under pair: PairInstallation) {
        var datagram = [UInt8](repeating: 0, count: 16) + message + [UInt8](repeating: 0, count: 16)
        var span = datagram.mutableSpan
        var header = span.mutableBytes
        SealedHeader(lane: 0, receiver: pair.remoteIndex, counter: 0).write(into: &header)
        let key = pair.keys.sendKey(lane: 0)
        datagram.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            _ = BulkCipher.libsodium().seal(
                into: base + 16,
                from: base + 16,
                count: message.count,
                header: base,
                counter: 0,
                key: key
            )
        }
        sent.append((datagram, true, pair.endpoint))
    }

    func receive(_ datagram: [UInt8], from source: Endpoint, now: Now) {
        guard datagram.first == 4 else { return machine.handleDatagram(datagram, from: source, now: now) }
        guard case .header(let header) = SealedHeader.parse(datagram.span.bytes), let pair = installed[header.receiver]
        else { return }
        var copy = datagram
        let length = datagram.count - 32
        let isAuthentic = copy.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            let key = pair.keys.receiveKey(lane: 0)
            return BulkCipher.libsodium().open(inPlace: base + 16, count: length, header: base, counter: 0, key: key)
        }
        #expect(isAuthentic, "both sides of a pair hold different keys")
        machine.handle(.confirmed(pair.localIndex, from: source), now: now)
        guard length > 0 else { return }
        machine.handle(.control(PeerIndex(0), pair.localIndex, Array(copy[16..<16 + length])), now: now)
    }
}

/// Two nodes and the link between them.
final class TwoNodes {
    let left: SimulatedNode
    let right: SimulatedNode
    private(set) var milliseconds: UInt64 = 1_000
    private var numbers: SeededNumbers
    private var flight: [(arrives: UInt64, datagram: [UInt8], toLeft: Bool)] = []
    /// Of 100 datagrams.
    var loss = 0
    var duplication = 0
    var latency: ClosedRange<UInt64> = 1...1
    /// Everything that was ever sent from left to right.
    private(set) var recorded: [[UInt8]] = []

    init(seed: UInt64, leftPSK: PresharedKey = .none, rightPSK: PresharedKey = .none, bothCall: Bool = false) {
        numbers = SeededNumbers(state: seed)
        let (first, second) = (StaticKeyPair(), StaticKeyPair())
        let at = [1, 2].map { Endpoint(address: .v4(IPv4Address(0xc000_0200 | $0)), port: 47890) }
        left = SimulatedNode(identity: first, endpoint: at[0], peer: second.publicKey, psk: leftPSK, at: at[1])
        right = SimulatedNode(
            identity: second,
            endpoint: at[1],
            peer: first.publicKey,
            psk: rightPSK,
            at: bothCall ? at[0] : nil
        )
        left.machine.start(now: now.instant)
        right.machine.start(now: now.instant)
    }

    var now: Now {
        Now(
            instant: Instant(nanoseconds: milliseconds * 1_000_000),
            label: TAI64N(seconds: milliseconds / 1000, nanoseconds: UInt32(milliseconds % 1000) * 1_000_000)
        )
    }

    private func now(at node: SimulatedNode) -> Now {
        Now(instant: now.instant, label: now.label.adding(seconds: node.clock))
    }

    /// Lets time pass without anybody noticing.
    func advance(milliseconds count: UInt64) { milliseconds += count }

    /// Lets time pass in steps of a millisecond.
    func run(milliseconds count: UInt64, until done: () -> Bool = { false }) {
        for _ in 0..<count {
            if done() { return }
            milliseconds += 1
            for arrival in flight.filter({ $0.arrives <= milliseconds }) {
                let (to, from) = arrival.toLeft ? (left, right) : (right, left)
                to.receive(arrival.datagram, from: from.endpoint, now: now(at: to))
            }
            flight.removeAll { $0.arrives <= milliseconds }
            for node in [left, right] {
                if milliseconds % 50 == 0 || (node.machine.nextTimeout ?? now.instant + .seconds(1)) <= now.instant {
                    node.machine.handleTimeout(now: now(at: node))
                }
                node.settle(now(at: node))
                for datagram in node.sent { transmit(datagram.message, toLeft: node === right) }
                node.sent = []
            }
        }
    }

    private func transmit(_ datagram: [UInt8], toLeft: Bool) {
        if !toLeft { recorded.append(datagram) }
        let copies = numbers.next() % 100 < UInt64(duplication) ? 2 : 1
        for _ in 0..<copies where numbers.next() % 100 >= UInt64(loss) {
            flight.append((milliseconds + UInt64.random(in: latency, using: &numbers), datagram, toLeft))
        }
    }

    var bothEstablished: Bool { left.sending != nil && right.sending != nil }
}
