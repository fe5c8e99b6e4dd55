import Testing
import VXCrypto
import VXHandshake
import VXWire

/// N gateways on virtual time, over links that a seed makes good or bad, with what must never happen checked at every
/// step.
final class Simulator {
    /// What the links do; chances in thousandths.
    struct Weather {
        var loss = 0
        var duplication = 0
        /// Milliseconds.
        var latency: ClosedRange<UInt64> = 5...5
        var mtu = 1500
    }

    let gateways: [SimulatedGateway]
    var numbers: SeededNumbers
    var weather = Weather()
    private(set) var milliseconds: UInt64 = 10_000
    /// Pairs of gateways that hear nothing of each other.
    var partitions: Set<Int> = []
    /// Pairs of gateways between which a firewall lets only datagrams from listen port to listen port pass.
    var firewalls: Set<Int> = []
    /// Message types that no link carries.
    var blocked: Set<UInt8> = []
    /// Every handshake message that was ever sent, and when.
    private(set) var recorded: [(datagram: [UInt8], from: Int, to: Int, at: UInt64)] = []
    /// When each gateway last sent transport data.
    private(set) var lastTransport: [Int: UInt64] = [:]

    private var flight: [UInt64: [(datagram: [UInt8], from: Endpoint, to: Int)]] = [:]
    private var nonces: Set<Nonce> = []
    private var incarnations: [Int]
    private(set) var sentFrames: Set<FrameName> = []
    private(set) var deliveredFrames: Set<FrameName> = []
    private(set) var lastDelivered: [Flow: UInt64] = [:]
    private(set) var isInOrder = true
    private(set) var problems: [String] = []

    /// A use of a key: whose, and the number in the nonce.
    private struct Nonce: Hashable {
        let sender: Int
        let incarnation: Int
        let receiver: Int
        let index: UInt32
        let lane: UInt8
        let counter: UInt64
    }

    /// One frame to one receiver.
    struct FrameName: Hashable {
        let source: Int
        let target: Int
        let sequence: UInt64
    }

    /// Frames that must stay in order.
    struct Flow: Hashable {
        let source: Int
        let receiver: Int
        let isBroadcast: Bool
        let number: UInt8
    }

    private static let marker = Array("VXSEAL-PLAINTEXT".utf8)
    private var sequence: UInt64 = 0

    /// - Parameters:
    ///   - mostLanes: each gateway has 1 to so many.
    ///   - keepalive: of every peer.
    init(gateways count: Int, seed: UInt64, mostLanes: Int = 1, keepalive: Interval? = nil) {
        numbers = SeededNumbers(state: seed)
        let randomness = SeededRandomness(seed: seed)
        let keys = (0..<count).map { _ in randomness.keyPair() }
        var laneNumbers = SeededNumbers(state: seed &+ 4242)
        gateways = (0..<count).map { number in
            let lanes = Int.random(in: 1...mostLanes, using: &laneNumbers)
            return SimulatedGateway(
                number: number,
                keys: keys,
                randomness: randomness,
                lanes: lanes,
                keepalive: keepalive
            )
        }
        incarnations = Array(repeating: 0, count: count)
    }

    func now(of gateway: SimulatedGateway) -> Now {
        let seconds = Int64(1_700_000_000) + Int64(milliseconds / 1000) + gateway.skew
        return Now(
            instant: Instant(nanoseconds: milliseconds * 1_000_000),
            label: TAI64N(unixSeconds: seconds, nanoseconds: UInt32(milliseconds % 1000) * 1_000_000)
        )
    }

    func startAll() { for gateway in gateways { start(gateway) } }

    func start(_ gateway: SimulatedGateway) {
        incarnations[gateway.number] += 1
        gateway.start(now: now(of: gateway))
        collect(gateway)
    }

    /// Does something to a gateway and takes what comes of it.
    func act(_ number: Int, _ body: (SimulatedGateway, Now) -> Void) {
        body(gateways[number], now(of: gateways[number]))
        collect(gateways[number])
    }

    /// Flows between two gateways; frames take turns.
    private static let flows: UInt64 = 7

    /// Sends a numbered frame, to one gateway or to all.
    func sendFrame(from source: Int, to target: Int?, vni: UInt32 = 42, size: Int = 64) {
        guard gateways[source].isUp else { return }
        sequence += 1
        let destination = target.map(SimulatedGateway.address) ?? [UInt8](repeating: 0xff, count: 6)
        var frame = destination + SimulatedGateway.address(of: source) + [0x88, 0xb5] + Self.marker
        frame += [UInt8(source), target.map { UInt8($0) } ?? 0xff, UInt8(vni)]
        frame += (0..<8).map { UInt8(truncatingIfNeeded: sequence >> (56 - 8 * UInt64($0))) }
        let flow = UInt8(sequence % Self.flows)
        frame.append(flow)
        frame += [UInt8](repeating: 0x5a, count: max(0, size - frame.count))
        let receivers = target.map { [$0] } ?? gateways.indices.filter { $0 != source }
        for receiver in receivers {
            sentFrames.insert(FrameName(source: source, target: receiver, sequence: sequence))
        }
        act(source) { $0.send(frame, network: vni == 42 ? 0 : 1, flow: Int(flow), now: $1) }
    }

    /// Lets time pass, a millisecond a step.
    func run(milliseconds count: UInt64, each step: (UInt64) -> Void = { _ in }, until done: () -> Bool = { false }) {
        for _ in 0..<count {
            if done() { return }
            milliseconds += 1
            for arrival in flight.removeValue(forKey: milliseconds) ?? [] {
                act(arrival.to) { $0.receive(arrival.datagram, from: arrival.from, now: $1) }
            }
            if milliseconds % 200 == 0 { for gateway in gateways { act(gateway.number) { $0.tick(now: $1) } } }
            step(milliseconds)
        }
    }

    /// Puts a datagram on the wire as anybody could.
    func inject(_ datagram: [UInt8], from source: Endpoint, to target: Int, after delay: UInt64 = 1) {
        flight[milliseconds + delay, default: []].append((datagram, source, target))
    }

    private func problem(_ text: String) { problems.append("at \(milliseconds) ms: \(text)") }

    // MARK: - The wire

    private func collect(_ gateway: SimulatedGateway) {
        for (datagram, source, target) in gateway.sent { transmit(datagram, of: gateway, from: source, to: target) }
        gateway.sent = []
        for (frame, network) in gateway.delivered { check(frame, network: network, at: gateway.number) }
        gateway.delivered = []
    }

    private func transmit(_ datagram: [UInt8], of gateway: SimulatedGateway, from source: Endpoint, to target: Endpoint)
    {
        inspect(datagram, from: gateway.number, to: target)
        guard let receiver = gateways.firstIndex(where: { $0.endpoint == target }) else { return }
        let isHandshake = datagram[0] != MessageType.transport.rawValue
        if isHandshake {
            recorded.append((datagram, gateway.number, receiver, milliseconds))
        } else {
            lastTransport[gateway.number] = milliseconds
        }
        if blocked.contains(datagram[0]) { return }
        if partitions.contains(pair(gateway.number, receiver)) { return }
        if firewalls.contains(pair(gateway.number, receiver)), source != gateway.endpoint { return }
        // Handshakes may be fragmented, sealed data never is.
        if !isHandshake, datagram.count + 28 > weather.mtu { return }
        let copies = numbers.chance(weather.duplication) ? 2 : 1
        for _ in 0..<copies where !numbers.chance(weather.loss) {
            let arrival = milliseconds + UInt64.random(in: weather.latency, using: &numbers)
            flight[max(arrival, milliseconds + 1), default: []].append((datagram, source, receiver))
        }
    }

    func pair(_ left: Int, _ right: Int) -> Int { min(left, right) * gateways.count + max(left, right) }

    /// Whether the marker stands anywhere in it.
    private func carriesMarker(_ datagram: [UInt8]) -> Bool {
        datagram.withUnsafeBytes { bytes in
            guard bytes.count >= Self.marker.count else { return false }
            return (0...bytes.count - Self.marker.count).contains { start in
                bytes[start] == Self.marker[0] && bytes[start..<start + Self.marker.count].elementsEqual(Self.marker)
            }
        }
    }

    private func inspect(_ datagram: [UInt8], from sender: Int, to target: Endpoint) {
        guard let first = datagram.first, let type = MessageType(rawValue: first) else {
            return problem("gateway \(sender) sent what is no message of the protocol")
        }
        if carriesMarker(datagram) { problem("gateway \(sender) sent plaintext") }
        guard type == .transport, case .header(let header) = SealedHeader.parse(datagram.span.bytes) else { return }
        let nonce = Nonce(
            sender: sender,
            incarnation: incarnations[sender],
            receiver: gateways.firstIndex { $0.endpoint == target } ?? -1,
            index: header.receiver.rawValue,
            lane: header.lane,
            counter: header.counter
        )
        if !nonces.insert(nonce).inserted { problem("gateway \(sender) used a nonce twice") }
    }

    private func check(_ frame: [UInt8], network: Int, at receiver: Int) {
        guard frame.count >= 42, frame[14..<30].elementsEqual(Self.marker) else {
            return problem("gateway \(receiver) delivered a frame that nobody sent")
        }
        let (source, target, vni) = (Int(frame[30]), Int(frame[31]), UInt32(frame[32]))
        let sequence = frame[33..<41].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if target != 0xff, target != receiver { problem("a frame for \(target) was delivered at \(receiver)") }
        if SimulatedGateway.networks[network] != vni { problem("a frame of VNI \(vni) was delivered in another") }
        let name = FrameName(source: source, target: receiver, sequence: sequence)
        if !sentFrames.contains(name) { problem("gateway \(receiver) delivered a frame that nobody sent it") }
        if !deliveredFrames.insert(name).inserted { problem("a frame was delivered twice at \(receiver)") }
        let flow = Flow(source: source, receiver: receiver, isBroadcast: target == 0xff, number: frame[41])
        if let last = lastDelivered[flow], last > sequence { isInOrder = false }
        lastDelivered[flow] = max(lastDelivered[flow] ?? 0, sequence)
    }

    /// Whether every gateway has a session with every other.
    var isWhole: Bool {
        gateways.allSatisfy { gateway in
            gateways.indices.allSatisfy { $0 == gateway.number || gateway.isEstablished(with: $0) }
        }
    }
}
