import Glibc
import VXWire

/// The kernel's form of an endpoint, either family, held in place for the calls that take its address.
struct SocketAddress {
    var storage = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)

    init() {}

    init(_ endpoint: Endpoint) {
        set(endpoint)
    }

    /// Copies an address of either family; nil for any other.
    init?(reading address: UnsafePointer<sockaddr>) {
        let size: Int
        switch CInt(address.pointee.sa_family) {
        case AF_INET: size = MemoryLayout<sockaddr_in>.size
        case AF_INET6: size = MemoryLayout<sockaddr_in6>.size
        default: return nil
        }
        length = socklen_t(size)
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: size))
        }
    }

    @inline(__always)
    mutating func set(_ endpoint: Endpoint) {
        switch endpoint.address {
        case .v4(let address):
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutableBytes(of: &storage) { bytes in
                bytes.storeBytes(of: UInt16(AF_INET), as: UInt16.self)
                bytes.storeBytes(of: endpoint.port.bigEndian, toByteOffset: 2, as: UInt16.self)
                bytes.storeBytes(of: address.rawValue.bigEndian, toByteOffset: 4, as: UInt32.self)
                bytes.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
            }
        case .v6(let address):
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            storage.sin6_family = sa_family_t(AF_INET6)
            storage.sin6_port = endpoint.port.bigEndian
            storage.sin6_flowinfo = 0
            storage.sin6_scope_id = endpoint.scope
            withUnsafeMutableBytes(of: &storage.sin6_addr) { bytes in
                bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
                bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
        }
    }

    var isIPv6: Bool { storage.sin6_family == sa_family_t(AF_INET6) }

    @inline(__always)
    var endpoint: Endpoint {
        withUnsafeBytes(of: storage) { bytes in
            let port = UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
            if bytes.load(as: UInt16.self) == UInt16(AF_INET) {
                let address = UInt32(bigEndian: bytes.load(fromByteOffset: 4, as: UInt32.self))
                return Endpoint(address: .v4(IPv4Address(address)), port: port)
            }
            let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            // A scope means something for link-local addresses only; elsewhere it would make equal endpoints differ.
            let isLinkLocal = high >> 54 == 0x3fa
            let scope = isLinkLocal ? bytes.load(fromByteOffset: 24, as: UInt32.self) : 0
            return Endpoint(address: .v6(IPv6Address(high: high, low: low)), port: port, scope: scope)
        }
    }
}
