import CVXLinux
import Glibc
public import VXWire

/// What the routing table says of the way to an endpoint.
public enum UnderlayRoute {
    /// The MTU in bytes of the route to an endpoint, or nil when there is none. A connected UDP socket asks for it without
    /// sending anything (ip(7), IP_MTU).
    public static func mtu(towards endpoint: Endpoint) -> Int? {
        let isIPv6 = endpoint.address.isIPv6
        let number = socket(isIPv6 ? AF_INET6 : AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        let descriptor = FileDescriptor(owning: number)
        let address = SocketAddress(endpoint)
        let connected = withUnsafePointer(to: address.storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor.rawValue, $0, address.length)
            }
        }
        var value: CInt = 0
        let level = CInt(isIPv6 ? IPPROTO_IPV6 : IPPROTO_IP)
        guard connected == 0, vx_get_option(descriptor.rawValue, level, isIPv6 ? IPV6_MTU : IP_MTU, &value) == 0 else {
            return nil
        }
        return Int(value)
    }
}
