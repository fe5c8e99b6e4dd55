import CVXLinux
import Glibc

/// Counts the UDP datagrams that pass an interface, and those that contain a marker: the proof that a wire carries no
/// plaintext. Needs CAP_NET_RAW in the namespace.
public struct PacketCounter: ~Copyable {
    private let descriptor: FileDescriptor
    private let marker: [UInt8]

    /// What was seen of one UDP destination port.
    public struct Count: Sendable {
        /// Datagrams.
        public var datagrams = 0
        /// Datagrams with the marker in them.
        public var marked = 0
    }

    /// By UDP destination port.
    public private(set) var counts: [UInt16: Count]

    /// Listens on all interfaces of this namespace.
    public init(marker: [UInt8]) throws(SystemCallError) {
        let all = CInt(UInt16(ETH_P_ALL).bigEndian)
        let number = socket(AF_PACKET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), all)
        if number < 0 { throw .last("socket", "packet socket; needs CAP_NET_RAW") }
        descriptor = FileDescriptor(owning: number)
        _ = vx_set_option(number, SOL_SOCKET, SO_RCVBUF, 64 << 20)
        self.marker = marker
        counts = [:]
    }

    /// Counts what arrived since the last call.
    public mutating func drain() {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let number = descriptor.rawValue
            let length = retryingInterrupted { recv(number, &buffer, buffer.count, 0) }
            guard length > 0 else { return }
            note(buffer[0..<length])
        }
    }

    private mutating func note(_ packet: ArraySlice<UInt8>) {
        // IPv4 with UDP only: the demonstration's underlay.
        guard packet.count >= 28, packet[0] >> 4 == 4, packet[9] == 17 else { return }
        let header = Int(packet[0] & 0x0f) * 4
        guard packet.count >= header + 8 else { return }
        let port = UInt16(packet[header + 2]) << 8 | UInt16(packet[header + 3])
        var count = counts[port] ?? Count()
        count.datagrams += 1
        if packet.firstRange(of: marker) != nil { count.marked += 1 }
        counts[port] = count
    }
}
