import CVXLinux
import Glibc
public import VXWire

/// How a UDP socket is opened.
public struct UDPSocketOptions: Sendable {
    /// One of a group on the same port.
    public var reusePort = false
    /// Fragments may leave (handshake, plaintext over a smaller path) or never do (sealed data: protocol.md, 2).
    public var fragmentation = false
    /// Bytes of receive and send buffer to ask for; the kernel may grant less without CAP_NET_ADMIN.
    public var bufferSize: CInt = 8 << 20
    /// The kernel hands over runs of equal datagrams of one flow as one, where it knows how (UDP_GRO, udp(7)).
    public var receivesRuns = false
    /// The traffic class of received datagrams is told (IP_RECVTOS, IPV6_RECVTCLASS).
    public var receivesTrafficClass = false
    /// Datagrams over IPv6 without a checksum are taken, as RFC 7348, 5 asks of VXLAN (UDP_NO_CHECK6_RX; RFC 6935). Over IPv4 they
    /// always are.
    public var takesZeroChecksums = false
    /// SO_MARK, 0 for none.
    public var mark: UInt32 = 0
    /// SO_BINDTODEVICE.
    public var device: String?

    /// The defaults.
    public init() {}
}

/// A bound UDP socket of one address family; non-blocking.
public struct UDPSocket: ~Copyable {
    /// For the event loop.
    public let descriptor: FileDescriptor
    /// The family.
    public let isIPv6: Bool
    /// The bound port.
    public let port: UInt16
    /// Runs are received, as the options asked.
    public let receivesRuns: Bool

    /// Opens and binds.
    /// - Throws: the call that failed; for an address in use with the way to find who has it.
    public init(bind endpoint: Endpoint, options: UDPSocketOptions) throws(SystemCallError) {
        let isIPv6 =
            switch endpoint.address {
            case .v4: false
            case .v6: true
            }
        let number = socket(
            isIPv6 ? AF_INET6 : AF_INET,
            CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue),
            0
        )
        if number < 0 { throw .last("socket", "UDP socket for \(endpoint)") }
        let file = FileDescriptor(owning: number)
        try Self.configure(number, isIPv6: isIPv6, endpoint: endpoint, options: options)
        var address = SocketAddress(endpoint)
        let length = address.length
        let code = withUnsafePointer(to: &address.storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.bind(number, $0, length) }
        }
        if code < 0 { throw Self.explainBind(errno, endpoint: endpoint) }
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let named = withUnsafeMutablePointer(to: &address.storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(number, $0, &size) }
        }
        if named < 0 { throw .last("getsockname", "\(endpoint)") }
        port = address.endpoint.port
        self.isIPv6 = isIPv6
        receivesRuns = options.receivesRuns && vx_set_option(number, CInt(IPPROTO_UDP), CInt(VX_UDP_GRO), 1) == 0
        descriptor = file
    }

    private static let hopLimit: CInt = 64

    private static func explainBind(_ code: CInt, endpoint: Endpoint) -> SystemCallError {
        let mend =
            switch code {
            case EADDRINUSE: "the port is in use; see who has it with: ss -ulpn sport = :\(endpoint.port)"
            case EADDRNOTAVAIL: "the address is not on this machine; listen on one of its own, or on 0.0.0.0 or [::]"
            case EACCES, EPERM: "ports below 1024 need CAP_NET_BIND_SERVICE"
            default: "the address cannot be bound"
            }
        return SystemCallError(call: "bind", code: code, context: "\(endpoint): \(mend)")
    }

    private static func configure(
        _ number: CInt,
        isIPv6: Bool,
        endpoint: Endpoint,
        options: UDPSocketOptions
    ) throws(SystemCallError) {
        func set(_ level: CInt, _ name: CInt, _ value: CInt, _ label: String) throws(SystemCallError) {
            if vx_set_option(number, level, name, value) < 0 { throw .last("setsockopt \(label)", "\(endpoint)") }
        }
        if isIPv6 { try set(CInt(IPPROTO_IPV6), IPV6_V6ONLY, 1, "IPV6_V6ONLY") }
        if options.reusePort { try set(SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT") }
        if isIPv6 {
            let discovery = options.fragmentation ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE
            try set(CInt(IPPROTO_IPV6), IPV6_MTU_DISCOVER, discovery, "IPV6_MTU_DISCOVER")
            if options.fragmentation {
                // IPV6_USE_MIN_MTU is not in every libc; IPV6_MTU fixes the same 1280 of RFC 8200 on this socket.
                try set(CInt(IPPROTO_IPV6), IPV6_MTU, 1280, "IPV6_MTU")
            }
        } else {
            let discovery = options.fragmentation ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE
            try set(CInt(IPPROTO_IP), IP_MTU_DISCOVER, discovery, "IP_MTU_DISCOVER")
        }
        // product.md; the system's own default may be another.
        if vx_set_hop_limit(number, isIPv6 ? 1 : 0, Self.hopLimit) < 0 {
            throw .last("setsockopt IP_TTL", "\(endpoint)")
        }
        if isIPv6, options.takesZeroChecksums {
            try set(CInt(IPPROTO_UDP), CInt(VX_UDP_NO_CHECK6_RX), 1, "UDP_NO_CHECK6_RX")
        }
        if options.receivesTrafficClass, vx_receive_traffic_class(number, isIPv6 ? 1 : 0) < 0 {
            throw .last("setsockopt IP_RECVTOS", "\(endpoint)")
        }
        if options.mark != 0 { try set(SOL_SOCKET, SO_MARK, CInt(bitPattern: options.mark), "SO_MARK") }
        if let device = options.device, vx_bind_device(number, device) < 0 {
            throw .last("setsockopt SO_BINDTODEVICE", "device \(device); see the devices with: ip link")
        }
        // FORCE goes beyond net.core.rmem_max but needs the real CAP_NET_ADMIN; the plain form is capped, never refused.
        for (force, plain) in [(SO_RCVBUFFORCE, SO_RCVBUF), (SO_SNDBUFFORCE, SO_SNDBUF)]
        where vx_set_option(number, SOL_SOCKET, force, options.bufferSize) < 0 {
            _ = vx_set_option(number, SOL_SOCKET, plain, options.bufferSize)
        }
    }

    /// Steers the port's group: socket 0 (the first bound) for all but transport data, then one socket a lane thread.
    /// - Throws: where the kernel refuses the program; all sockets of the group then receive anything.
    public func steerLanes(threads: Int) throws(SystemCallError) {
        if vx_attach_lane_steering(descriptor.rawValue, UInt32(threads)) < 0 {
            throw .last("setsockopt SO_ATTACH_REUSEPORT_CBPF", "port \(port)")
        }
    }

    /// Whether the kernel sends runs of equal datagrams for one call (UDP_SEGMENT, udp(7)); 0 switches nothing on.
    public func sendsRuns() -> Bool {
        vx_set_option(descriptor.rawValue, CInt(IPPROTO_UDP), CInt(VX_UDP_SEGMENT), 0) == 0
    }

    /// Makes the socket send only: whatever arrives is dropped in the kernel.
    public func rejectAll() throws(SystemCallError) {
        if vx_attach_reject_all(descriptor.rawValue) < 0 { throw .last("setsockopt SO_ATTACH_FILTER", "port \(port)") }
    }

    /// Sends one datagram.
    /// - Returns: 0, or the errno.
    public func send(_ bytes: [UInt8], to endpoint: Endpoint) -> CInt {
        let address = SocketAddress(endpoint)
        let number = descriptor.rawValue
        let sent = withUnsafePointer(to: address.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
                bytes.withUnsafeBytes { body in
                    retryingInterrupted { sendto(number, body.baseAddress, body.count, 0, target, address.length) }
                }
            }
        }
        return sent < 0 ? errno : 0
    }

    /// Receives one datagram; nil when none waits. A datagram longer than `limit` comes with one byte more than `limit`.
    public func receive(limit: Int) -> (bytes: [UInt8], source: Endpoint)? {
        var address = SocketAddress()
        var source: Endpoint?
        let number = descriptor.rawValue
        let bytes = [UInt8](unsafeUninitializedCapacity: limit + 1) { buffer, count in
            let length = withUnsafeMutablePointer(to: &address.storage) { storage in
                storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
                    retryingInterrupted {
                        recvfrom(number, buffer.baseAddress, buffer.count, 0, target, &address.length)
                    }
                }
            }
            // An ICMP error of an earlier send shows here once; it says nothing that the timers don't find out.
            count = max(length, 0)
            if length >= 0 { source = address.endpoint }
        }
        return source.map { (bytes, $0) }
    }
}
