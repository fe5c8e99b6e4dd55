/// How `KubernetesDirectory` is told where to look.
public struct KubernetesConfiguration: Sendable, Equatable {
    /// flannel's own prefix of annotations (`--kube-annotation-prefix`).
    public static let flannelPrefix = "flannel.alpha.coreos.com"

    /// Where flannel's ConfigMap is.
    public static let usualNetConf = "/etc/kube-flannel/net-conf.json"

    /// This node's name in the API.
    public var node: String
    /// A kubeconfig file; nil for the service account of the pod.
    public var kubeconfig: String?
    /// The file of flannel's net-conf.json.
    public var netConf: String
    /// The prefix of the annotations that are shared with flannel.
    public var annotationPrefix: String

    /// From its parts.
    public init(
        node: String,
        kubeconfig: String? = nil,
        netConf: String = KubernetesConfiguration.usualNetConf,
        annotationPrefix: String = KubernetesConfiguration.flannelPrefix
    ) {
        self.node = node
        self.kubeconfig = kubeconfig
        self.netConf = netConf
        self.annotationPrefix = annotationPrefix
    }
}
