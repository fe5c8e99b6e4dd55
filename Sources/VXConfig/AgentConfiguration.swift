public import VXCrypto
public import VXWire

/// What `vxseal agent` runs with (product.md, agent): a node whose network and peers come from a directory.
public struct AgentConfiguration: Sendable {
    /// Where nodes find each other.
    public enum Directory: Sendable, Equatable {
        /// A file that somebody writes.
        case file(String)
        /// etcd, as flannel uses it.
        case etcd(EtcdConfiguration)
        /// The Kubernetes API.
        case kubernetes(KubernetesConfiguration)
        /// The nodes of a Calico cluster, by the Kubernetes API.
        case calico(CalicoConfiguration)

        /// What the configuration calls it.
        public var name: String {
            switch self {
            case .file: "file"
            case .etcd: "etcd"
            case .kubernetes: "kubernetes"
            case .calico: "calico"
            }
        }
    }

    /// Whose records are believed.
    public enum Trust: Sendable, Equatable {
        /// The directory's.
        case directory
        /// Of the key that a name was first seen with.
        case pinned
        /// Of those in a file that an operator signed.
        case roster(file: String, key: SigningKey)
    }

    /// All that is the node's own; without networks and peers.
    public var node: NodeConfiguration
    /// Where nodes find each other.
    public var directory: Directory
    /// Whom it speaks with; nil where the overlay's net-conf.json decides, and `require` where that does not either.
    public var seal: String?
    /// Whose records are believed.
    public var trust: Trust
    /// The underlay's interface; nil for that of the default route.
    public var interface: String?
    /// The underlay address of IPv4; nil for the interface's first.
    public var publicIP: IPv4Address?
    /// The underlay address of IPv6; nil for the interface's first.
    public var publicIPv6: IPv6Address?
    /// What CNI plugins read.
    public var subnetFile: String
    /// What leaves the overlay gets this node's address.
    public var masquerade: Bool
    /// The overlay's device; nil for `flannel.VNI`, or Calico's `vxlan.calico`.
    public var device: String?
}
