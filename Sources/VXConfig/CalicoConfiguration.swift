/// How `CalicoDirectory` is told where to look.
public struct CalicoConfiguration: Sendable, Equatable {
    /// How the API is reached, and the file of net-conf.json: its `Network` is the pool, its `Backend` has VNI 4096 and
    /// port 4789.
    public var kubernetes: KubernetesConfiguration
    /// The pool's `vxlanMode` is `CrossSubnet`.
    public var isCrossSubnet: Bool

    /// From its parts.
    public init(kubernetes: KubernetesConfiguration, isCrossSubnet: Bool) {
        self.kubernetes = kubernetes
        self.isCrossSubnet = isCrossSubnet
    }
}
