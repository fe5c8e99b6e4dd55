import VXWire

/// A frame of a test, from its parts. Checksums are zero: nothing here looks at them.
struct TestFrame {
    var destination = MACAddress.broadcast
    var source = BindingTests.own
    var type: UInt16
    var payload: [UInt8]

    /// Nothing that anybody looks into.
    static func plain(from source: MACAddress) -> TestFrame {
        TestFrame(source: source, type: 0x88b5, payload: Array("payload".utf8))
    }

    static func udp4(from source: String, ports: (UInt16, UInt16), payload: [UInt8] = [0]) -> TestFrame {
        let length = UInt16(8 + payload.count)
        let header: [UInt8] = [0x45, 0] + (20 + length).bytes + [0, 0, 0, 0, 64, 17, 0, 0] + address(source)
        let udp = ports.0.bytes + ports.1.bytes + length.bytes + [0, 0]
        return TestFrame(type: EtherType.ipv4, payload: header + address("10.98.0.254") + udp + payload)
    }

    static func udp6(from source: String, ports: (UInt16, UInt16), payload: [UInt8] = [0]) -> TestFrame {
        let length = UInt16(8 + payload.count)
        return ip6(from: source, next: 17, body: ports.0.bytes + ports.1.bytes + length.bytes + [0, 0] + payload)
    }

    /// - Parameter body: behind type, code and checksum.
    static func icmp6(from source: String, type: UInt8, body: [UInt8], hopByHop: Bool = false) -> TestFrame {
        let options: [UInt8] = hopByHop ? [58, 0, 5, 2, 0, 0, 1, 0] : []
        return ip6(from: source, next: hopByHop ? 0 : 58, body: options + [type, 0, 0, 0] + body)
    }

    private static func ip6(from source: String, next: UInt8, body: [UInt8]) -> TestFrame {
        let header = [0x60, 0, 0, 0] + UInt16(body.count).bytes + [next, 255] + address(source) + address("ff02::1")
        return TestFrame(type: EtherType.ipv6, payload: header + body)
    }

    static func arp(operation: UInt16, sender: MACAddress, _ senderAddress: String, target: String) -> TestFrame {
        let head: [UInt8] = [0, 1, 8, 0, 6, 4] + operation.bytes
        let body = sender.bytes + address(senderAddress) + [0, 0, 0, 0, 0, 0] + address(target)
        return TestFrame(type: EtherType.arp, payload: head + body)
    }

    /// The frame, with VLAN tags.
    func bytes(tags: [[UInt8]] = []) -> [UInt8] {
        destination.bytes + source.bytes + tags.flatMap { $0 } + type.bytes + payload
    }

    /// An address in wire order; none for text that is none.
    static func address(_ text: String) -> [UInt8] {
        switch IPAddress(text) {
        case .v4(let address): (0..<4).map { UInt8(truncatingIfNeeded: address.rawValue >> UInt32(24 - 8 * $0)) }
        case .v6(let address):
            [address.high, address.low].flatMap { half in
                (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
            }
        case nil: []
        }
    }
}

extension [UInt8] {
    /// Flags and target of a neighbour solicitation or advertisement.
    static func target(_ text: String) -> [UInt8] { [0x60, 0, 0, 0] + TestFrame.address(text) }
    /// A link-layer address option.
    static func option(_ kind: UInt8, _ address: MACAddress) -> [UInt8] { [kind, 1] + address.bytes }
}

extension UInt16 {
    fileprivate var bytes: [UInt8] { [UInt8(self >> 8), UInt8(self & 255)] }
}

extension MACAddress {
    var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * $0)) } }
}
