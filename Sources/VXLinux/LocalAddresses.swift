import Glibc
public import VXWire

/// The addresses of this machine's interfaces, as the namespace sees them.
public enum LocalAddresses {
    /// Whether an interface has the address. Addresses come and go: ask when it matters.
    public static func contains(_ address: IPAddress) -> Bool { interface(with: address) != nil }

    /// An interface that has the address.
    static func interface(
        with address: IPAddress,
        where isWanted: (_ flags: UInt32) -> Bool = { _ in true }
    ) -> String? {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return nil }
        defer { freeifaddrs(first) }
        var next = first
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let socketAddress = entry.pointee.ifa_addr, isWanted(entry.pointee.ifa_flags),
                SocketAddress(reading: socketAddress)?.endpoint.address == address
            else { continue }
            return String(cString: entry.pointee.ifa_name)
        }
        return nil
    }
}
