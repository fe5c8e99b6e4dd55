import VXConfig
import VXWire

/// Connection tracking, socket buffers, what sockets lost, checksums, and file descriptors.
enum SocketChecks {
    /// Fewer wrong checksums are a link's noise.
    private static let leastWrong = 100
    /// Of 100 datagrams.
    private static let wrongPercent = 1

    static func run(_ node: Examination) -> [Finding] {
        tracking(node) + losses(node) + checksums(node) + descriptors(node)
    }

    private static func tracking(_ node: Examination) -> [Finding] {
        let folder = "/proc/sys/net/netfilter/nf_conntrack_"
        guard let count = node.host.number(folder + "count"), let most = node.host.number(folder + "max"), most > 0,
            count * 2 >= most
        else { return [] }
        guard count * 10 >= most * 9 else {
            guard let port = node.configuration.sealedEndpoints.first?.port,
                FirewallChecks.ruleset(node.host)?.leavesUntracked(port: Int(port)) != true
            else { return [] }
            return [
                Finding(
                    .info,
                    "tracking.notrack",
                    .tracking,
                    "connection tracking holds \(count) of \(most) entries, and takes note of the node's datagrams too",
                    why: "it costs each a look-up, and a flood of strangers fills the table",
                    mend: "vxseal firewall -c FILE --apply keeps the ports out of it"
                )
            ]
        }
        return [
            Finding(
                .warning,
                "tracking.full",
                .tracking,
                "connection tracking holds \(count) of \(most) entries",
                why: "when it is full the kernel drops packets of new flows, outer datagrams too",
                mend:
                    "vxseal firewall -c FILE --apply keeps the ports out of it; sysctl -w net.netfilter.nf_conntrack_max=\(most * 2)"
            )
        ]
    }

    private static func losses(_ node: Examination) -> [Finding] {
        let ports = Set(
            node.configuration.sealedEndpoints.map(\.port) + node.configuration.plaintextEndpoints.map(\.port)
        )
        let lost = UDPTable(node.host).sockets.filter { ports.contains($0.port) }.reduce(0) { $0 + $1.drops }
        guard lost > 0 else { return [] }
        let limit = node.host.number("/proc/sys/net/core/rmem_max") ?? 0
        return [
            Finding(
                .warning,
                "sockets.drops",
                .sockets,
                "\(lost) datagrams found no place in the buffers of the node's sockets (net.core.rmem_max is \(limit))",
                why: "peers see them as lost; the daemon, or its cores, cannot keep up, or its buffers are small",
                mend:
                    "give the daemon more cores or lanes; without CAP_NET_ADMIN in the first user namespace: sysctl -w net.core.rmem_max=8388608"
            )
        ]
    }

    /// A card that is to fill checksums in, and does it wrong, is seen by those who receive: the kernel drops what comes from it.
    private static func checksums(_ node: Examination) -> [Finding] {
        let counts = [ipv4Counts(node.host), ipv6Counts(node.host)].compactMap(\.self)
        let (wrong, right) = counts.reduce((0, 0)) { ($0.0 + $1.wrong, $0.1 + $1.right) }
        guard wrong >= leastWrong, wrong * 100 >= (wrong + right) * wrongPercent else { return [] }
        return [
            Finding(
                .warning,
                "sockets.checksums",
                .sockets,
                "\(wrong) of \(wrong + right) UDP datagrams came with a wrong checksum since this machine's start",
                why:
                    "the kernel drops them, and peers see them as lost: a sender's network card, or what is between, breaks them",
                mend: "on the senders, the device towards this node: ethtool -K DEVICE tx-checksum-ip-generic off"
            )
        ]
    }

    /// Names in one line, numbers in the next.
    private static func ipv4Counts(_ host: Host) -> (wrong: Int, right: Int)? {
        let lines = (host.read("/proc/net/snmp") ?? "").split(separator: "\n").filter { $0.hasPrefix("Udp:") }
            .map { $0.split(separator: " ") }
        guard lines.count == 2, lines[0].count == lines[1].count, let wrong = lines[0].firstIndex(of: "InCsumErrors"),
            let right = lines[0].firstIndex(of: "InDatagrams")
        else { return nil }
        return Int(lines[1][wrong]).flatMap { wrong in Int(lines[1][right]).map { (wrong, $0) } }
    }

    /// A name and a number in each line.
    private static func ipv6Counts(_ host: Host) -> (wrong: Int, right: Int)? {
        func count(_ name: String) -> Int? {
            (host.read("/proc/net/snmp6") ?? "").split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }
                .first { $0.first == name[...] }?.last.flatMap { Int($0) }
        }
        return count("Udp6InCsumErrors").flatMap { wrong in count("Udp6InDatagrams").map { (wrong, $0) } }
    }

    private static func descriptors(_ node: Examination) -> [Finding] {
        guard let process = node.daemonProcess else { return [] }
        let used = node.host.list("/proc/\(process)/fd").count
        let line = (node.host.read("/proc/\(process)/limits") ?? "").split(separator: "\n").first {
            $0.hasPrefix("Max open files")
        }
        guard let limit = line?.split(separator: " ").compactMap({ Int($0) }).first, used * 10 >= limit * 9 else {
            return []
        }
        return [
            Finding(
                .warning,
                "sockets.descriptors",
                .sockets,
                "the daemon has \(used) of \(limit) file descriptors",
                why: "networks that a reload adds need one for each lane",
                mend: "LimitNOFILE= of the unit, or ulimit -Hn, then a restart"
            )
        ]
    }
}
