import VXConfig
import VXWire

/// Connection tracking, socket buffers, what sockets lost, and file descriptors.
enum SocketChecks {
    static func run(_ node: Examination) -> [Finding] { tracking(node) + losses(node) + descriptors(node) }

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
