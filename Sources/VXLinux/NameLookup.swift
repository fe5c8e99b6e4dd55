import Glibc
public import VXWire

/// Host names to addresses, as the system resolves them. Blocks.
public enum NameLookup {
    /// Why a name has no address.
    public struct Failure: Error, Sendable {
        /// What getaddrinfo says.
        public let text: String
    }

    /// The first address of a name, which getaddrinfo sorts as RFC 6724 says.
    public static func endpoint(of host: String, port: UInt16) -> Result<Endpoint, Failure> {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = CInt(SOCK_DGRAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var first: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &first)
        guard code == 0, let found = first else {
            return .failure(Failure(text: String(cString: gai_strerror(code))))
        }
        defer { freeaddrinfo(found) }
        guard let address = found.pointee.ai_addr, let read = SocketAddress(reading: address) else {
            return .failure(Failure(text: "no address of a known family"))
        }
        return .success(read.endpoint)
    }
}
