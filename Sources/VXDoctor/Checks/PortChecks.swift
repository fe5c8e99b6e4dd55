import VXConfig
import VXNetlink
import VXWire

/// Who else wants the node's UDP ports.
enum PortChecks {
    static func run(_ node: Examination) -> [Finding] {
        let configuration = node.configuration
        var ports: [(port: UInt16, what: String)] = configuration.sealedEndpoints.map { ($0.port, "listen") }
        if configuration.hasPlaintext { ports += configuration.plaintextEndpoints.map { ($0.port, "plaintextListen") } }
        ports += configuration.lanePorts.map { ($0, "lanePorts") }
        let fields = Dictionary(ports.map { ($0.port, $0.what) }) { first, _ in first }
        return fields.sorted { $0.key < $1.key }.flatMap { port, field in
            devices(port, field, node) + sockets(port, field, node)
        }
    }

    /// The kernel's own VXLAN devices take a port for the whole namespace.
    private static func devices(_ port: UInt16, _ field: String, _ node: Examination) -> [Finding] {
        node.host.links.filter { $0.vxlanPort == port }.map { link in
            Finding(
                .error,
                "ports.vxlanDevice",
                .ports,
                "the kernel's VXLAN device \(link.name) listens on UDP \(port), which is for `\(field)`",
                why: "a port has one owner: the daemon does not start, or hears nothing there",
                mend: "ip link delete \(link.name), or another port: \(field)"
            )
        }
    }

    private static func sockets(_ port: UInt16, _ field: String, _ node: Examination) -> [Finding] {
        let own = node.daemonProcess
        let others = UDPTable(node.host).sockets.filter { $0.port == port && $0.inode != 0 }
        let owners = SocketOwners(of: Set(others.map(\.inode)), node.host)
        let strangers = others.filter { socket in
            guard let process = owners.process(of: socket.inode) else { return node.status == nil }
            // Of a daemon that answers, but whose process is not seen, these may be its own.
            return node.status == nil || own != nil && process != own
        }
        return Set(strangers.map { owners.name(of: $0.inode) }).sorted().map { name in
            Finding(
                .error,
                "ports.taken",
                .ports,
                "\(name) has UDP port \(port), which is for `\(field)`",
                why: "the daemon does not start while somebody else listens there",
                mend: "stop it, or choose another port: \(field)"
            )
        }
    }
}
