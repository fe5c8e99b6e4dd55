import VXControlSocket
import VXNetlink
import VXRuntime
import VXWire

/// The frame that `vxseal trace --send` asks peers about: Ethernet, IP and the ports' header, as the own device would have it.
struct ProbeFrame {
    let vni: VNI
    private(set) var bytes: [UInt8]

    /// Nil for a reply that found no network.
    /// - Parameter source: the MAC address that an IP address of this side has.
    init?(_ request: TraceRequest, _ traced: TraceReply, source: MACAddress? = nil) {
        guard let vni = traced.vni.flatMap(VNI.init) else { return nil }
        self.vni = vni
        let destination = traced.station.flatMap { MACAddress($0) } ?? .broadcast
        let from = MACAddress(request.source) ?? source ?? MACAddress(0x0200_0000_0001)
        bytes = Self.octets(destination) + Self.octets(from)
        switch (IPAddress(request.source), IPAddress(request.destination)) {
        case (.v4(let from)?, .v4(let to)?): appendIPv4(from, to, request)
        case (.v6(let from)?, .v6(let to)?): appendIPv6(from, to, request)
        // Local experimental (IEEE 802).
        default: bytes += [0x88, 0xb5] + [UInt8](repeating: 0, count: 46)
        }
    }

    private static func octets(_ address: MACAddress) -> [UInt8] { octets(address.rawValue, 6) }

    private static func octets(_ value: some FixedWidthInteger, _ count: Int) -> [UInt8] {
        (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    private static func transport(_ request: TraceRequest, icmp: UInt8) -> (number: UInt8, header: [UInt8]) {
        let number = request.ipProtocol ?? (request.port == nil ? icmp : IPProtocol.udp)
        guard number == IPProtocol.tcp || number == IPProtocol.udp else {
            // An echo request.
            return (number, [icmp == 1 ? 8 : 128] + [UInt8](repeating: 0, count: 7))
        }
        let ports = octets(UInt16(49152), 2) + octets(request.port ?? 0, 2)
        return (number, ports + (number == IPProtocol.udp ? [0, 8, 0, 0] : [UInt8](repeating: 0, count: 16)))
    }

    private mutating func appendIPv4(_ source: IPv4Address, _ destination: IPv4Address, _ request: TraceRequest) {
        let (number, header) = Self.transport(request, icmp: 1)
        bytes += [0x08, 0x00, 0x45, 0] + Self.octets(20 + header.count, 2) + [0, 0, 0x40, 0, 64, number, 0, 0]
        bytes += Self.octets(source.rawValue, 4) + Self.octets(destination.rawValue, 4) + header
    }

    private mutating func appendIPv6(_ source: IPv6Address, _ destination: IPv6Address, _ request: TraceRequest) {
        let (number, header) = Self.transport(request, icmp: IPProtocol.icmpv6)
        bytes += [0x86, 0xdd, 0x60, 0, 0, 0] + Self.octets(header.count, 2) + [number, 64]
        for address in [source, destination] { bytes += Self.octets(address.high, 8) + Self.octets(address.low, 8) }
        bytes += header
    }
}

extension TraceReply {
    /// Takes what came of the question to a peer.
    mutating func note(_ outcome: PingOutcome, of name: String) {
        guard case .judged(let roundTrip, let answer) = outcome else {
            probes.append(Probe(peer: name, fate: "lost"))
            steps.append(
                Step(
                    "probe",
                    "\(name) did not answer within 2 s: the path loses, or its version knows no such question"
                )
            )
            return
        }
        let (there, whole) = (Double(answer.nanoseconds) / 1000, Double(roundTrip.nanoseconds) / 1000)
        let fate =
            switch answer.fate {
            case .device: "its device takes it"
            case .relayed: "it passes it on"
            case .dropped: "it DROPS it: \(answer.reason)"
            }
        probes.append(
            Probe(
                peer: name,
                fate: "\(answer.fate)",
                reason: answer.fate == .dropped ? answer.reason : nil,
                roundTripMicroseconds: whole,
                peerMicroseconds: there
            )
        )
        // Neither clock knows the other: the ways there and back are taken as equal.
        let way = max(0, whole - there) / 2
        let moments = [
            (0, "sealed here for \(name)"), (way, "at \(name)"), (way + there, "decided: \(fate)"),
            (whole, "the answer is here"),
        ]
        steps += moments.map { Step("probe", "\(Double(Int($0 / 10)) / 100) ms \($1)") }
    }
}
