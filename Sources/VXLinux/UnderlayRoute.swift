import CVXLinux
import Glibc
public import VXWire

/// What the routing table says of the way to an endpoint.
public enum UnderlayRoute {
    /// The MTU in bytes of the route to an endpoint, or nil when there is none. A connected UDP socket asks for it without
    /// sending anything (ip(7), IP_MTU).
    public static func mtu(towards endpoint: Endpoint) -> Int? {
        guard let descriptor = connectedSocket(to: endpoint) else { return nil }
        return routeMTU(of: descriptor, isIPv6: endpoint.address.isIPv6)
    }

    /// The MTU in bytes of the interface that packets to an endpoint leave by, or nil when there is none. What ICMP said of
    /// the path, which anybody may forge, has no part in it, but where the interface can't be told by its address.
    public static func interfaceMTU(towards endpoint: Endpoint) -> Int? {
        guard let descriptor = connectedSocket(to: endpoint) else { return nil }
        let local = localAddress(of: descriptor)
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        if endpoint.scope != 0, if_indextoname(endpoint.scope, &name) != nil {
            let mtu = vx_interface_mtu(descriptor.rawValue, name)
            if mtu > 0 { return Int(mtu) }
        }
        // Not loopback, where routers keep addresses that belong to no link.
        let isLink = { (flags: UInt32) in flags & UInt32(IFF_LOOPBACK) == 0 }
        if let local, let name = LocalAddresses.interface(with: local, where: isLink) {
            let mtu = vx_interface_mtu(descriptor.rawValue, name)
            if mtu > 0 { return Int(mtu) }
        }
        return routeMTU(of: descriptor, isIPv6: endpoint.address.isIPv6)
    }

    /// The address that packets to an endpoint leave from, or nil when there is no route.
    public static func localAddress(towards endpoint: Endpoint) -> IPAddress? {
        guard let descriptor = connectedSocket(to: endpoint) else { return nil }
        return localAddress(of: descriptor)
    }

    private static func localAddress(of descriptor: borrowing FileDescriptor) -> IPAddress? {
        var local = SocketAddress()
        let named = withUnsafeMutablePointer(to: &local.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor.rawValue, $0, &local.length)
            }
        }
        return named == 0 ? local.endpoint.address : nil
    }

    private static func connectedSocket(to endpoint: Endpoint) -> FileDescriptor? {
        let family = endpoint.address.isIPv6 ? AF_INET6 : AF_INET
        let number = socket(family, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        let descriptor = FileDescriptor(owning: number)
        let address = SocketAddress(endpoint)
        let connected = withUnsafePointer(to: address.storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(number, $0, address.length) }
        }
        guard connected == 0 else { return nil }
        return descriptor
    }

    private static func routeMTU(of descriptor: borrowing FileDescriptor, isIPv6: Bool) -> Int? {
        var value: CInt = 0
        let level = CInt(isIPv6 ? IPPROTO_IPV6 : IPPROTO_IP)
        guard vx_get_option(descriptor.rawValue, level, isIPv6 ? IPV6_MTU : IP_MTU, &value) == 0 else { return nil }
        return Int(value)
    }
}
