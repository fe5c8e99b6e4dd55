import Foundation
import VXControl

/// How `KubernetesDirectory` is told where to look.
public struct KubernetesConfiguration: Sendable, Equatable {
    /// flannel's own prefix of annotations (`--kube-annotation-prefix`).
    public static let flannelPrefix = "flannel.alpha.coreos.com"

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
        netConf: String = "/etc/kube-flannel/net-conf.json",
        annotationPrefix: String = KubernetesConfiguration.flannelPrefix
    ) {
        self.node = node
        self.kubeconfig = kubeconfig
        self.netConf = netConf
        self.annotationPrefix = annotationPrefix
    }

    private static let largestFile = 1 << 20

    /// The text of net-conf.json.
    func readNetConf() throws(DirectoryError) -> String {
        guard let data = FileManager.default.contents(atPath: netConf), data.count <= Self.largestFile,
            let text = String(data: data, encoding: .utf8)
        else {
            throw DirectoryError(
                "\(netConf) cannot be read; it is the overlay's net-conf.json, which the ConfigMap brings into the pod"
            )
        }
        return text
    }
}
