import VXWire

/// The UDP sockets of a network namespace (proc(5), /proc/net/udp), and who has them.
struct UDPTable {
    /// One socket.
    struct Socket: Equatable {
        let port: UInt16
        let isIPv6: Bool
        /// 0 for a socket of the kernel.
        let inode: UInt64
        /// Datagrams that found no place in its buffer.
        let drops: UInt64
    }

    let sockets: [Socket]

    init(_ host: Host) {
        sockets = [(false, "/proc/net/udp"), (true, "/proc/net/udp6")].flatMap { isIPv6, path in
            Self.parse(host.read(path) ?? "", isIPv6: isIPv6)
        }
    }

    /// `sl local remote st queues timer retransmits uid timeout inode references pointer drops`, behind a line of titles.
    static func parse(_ text: String, isIPv6: Bool) -> [Socket] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count >= 13, let port = UInt16(fields[1].suffix(4), radix: 16), let inode = UInt64(fields[9]),
                let drops = UInt64(fields[12])
            else { return nil }
            return Socket(port: port, isIPv6: isIPv6, inode: inode, drops: drops)
        }
    }
}

/// Which process has which socket, as far as this user may see.
struct SocketOwners {
    private let owners: [UInt64: Int]
    private let host: Host

    /// Looks through all processes for these sockets.
    init(of inodes: Set<UInt64>, _ host: Host) {
        self.host = host
        var owners: [UInt64: Int] = [:]
        if !inodes.isEmpty {
            for process in host.list("/proc").compactMap({ Int($0) }) {
                for descriptor in host.list("/proc/\(process)/fd") {
                    guard let target = host.target("/proc/\(process)/fd/\(descriptor)"), target.hasPrefix("socket:["),
                        let inode = UInt64(target.dropFirst("socket:[".count).dropLast()), inodes.contains(inode)
                    else { continue }
                    owners[inode] = process
                }
            }
        }
        self.owners = owners
    }

    /// The process, if it is seen.
    func process(of inode: UInt64) -> Int? { owners[inode] }

    /// `dnsmasq (pid 17)`, or who else it may be.
    func name(of inode: UInt64) -> String {
        if inode == 0 { return "the kernel" }
        guard let process = owners[inode] else { return "a process that this user may not see" }
        let name = host.read("/proc/\(process)/comm").map { String($0.split(separator: "\n").first ?? "") } ?? "?"
        return "\(name) (pid \(process))"
    }

    /// The inode of the UNIX socket with a path (proc(5), /proc/net/unix).
    static func unixSocket(_ path: String, _ host: Host) -> UInt64? {
        (host.read("/proc/net/unix") ?? "").split(separator: "\n").compactMap { line -> UInt64? in
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            // Flags 00010000: it listens.
            return fields.count == 8 && fields[7] == path && fields[3] == "00010000" ? UInt64(fields[6]) : nil
        }.first
    }
}
