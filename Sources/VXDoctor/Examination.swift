public import VXConfig
public import VXControlSocket

/// One look at a node: what every check is given.
public struct Examination: Sendable {
    /// What the node is to be.
    public let configuration: NodeConfiguration
    /// What runs; nil when no daemon answers.
    public let status: StatusReply?
    /// Where.
    public let host: Host
    /// Only this peer is asked after; nil for all.
    public let peer: String?

    /// From its parts.
    public init(configuration: NodeConfiguration, status: StatusReply?, host: Host, peer: String? = nil) {
        self.configuration = configuration
        self.status = status
        self.host = host
        self.peer = peer
    }

    /// Every check.
    private static let checks: [@Sendable (Examination) -> [Finding]] = [
        ConfigurationChecks.run, KeyChecks.run, DeviceChecks.run, RouteChecks.run, PortChecks.run, FirewallChecks.run,
        SocketChecks.run, PeerChecks.run, MachineChecks.run,
    ]

    /// All that was found, by topic and the worst first.
    public func findings() -> [Finding] {
        let found = Self.checks.flatMap { $0(self) }
        return Topic.allCases.flatMap { topic in
            found.filter { $0.topic == topic }.enumerated().sorted {
                ($1.element.severity, $0.offset) < ($0.element.severity, $1.offset)
            }.map(\.element)
        }
    }

    /// The peers that are asked after.
    var peers: [PeerConfiguration] { configuration.peers.filter { peer == nil || $0.name == peer } }

    /// The networks' devices and bridges, and the daemon's pid.
    var ownDevices: Set<String> {
        Set(configuration.networks.filter(\.hasDevice).map(\.device) + configuration.networks.compactMap(\.bridge))
    }

    /// The daemon's process, where this user may see it: who listens on the admin socket.
    var daemonProcess: Int? {
        guard status != nil, let inode = SocketOwners.unixSocket(configuration.adminSocket, host) else { return nil }
        return SocketOwners(of: [inode], host).process(of: inode)
    }

    /// Lane threads.
    var lanes: Int { status?.lanes ?? configuration.lanes ?? 1 }
}
