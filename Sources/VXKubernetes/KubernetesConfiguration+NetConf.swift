import Foundation
import VXConfig
import VXControl

extension KubernetesConfiguration {
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
