import VXControl

/// What the annotations of a node are called (flannel, pkg/subnet/kube/annotations.go).
struct AnnotationNames: Sendable, Equatable {
    /// vxseal's own, whatever the prefix of flannel's is.
    static let record = "vxseal.io/peer"

    /// `true` on nodes of the overlay.
    let managed: String
    let backendType: String
    let backendData: String
    let backendV6Data: String
    let publicIP: String
    let publicIPv6: String
    /// The operator's: what the node publishes in place of its own address.
    let publicIPOverwrite: String
    let publicIPv6Overwrite: String
    /// The operator's: which local address the node uses.
    let nodeIP: String
    let nodeIPv6: String

    /// - Parameter prefix: a domain, which may be followed by a slash and the beginning of the names.
    /// - Throws: `DirectoryError` for what flannel refuses.
    init(prefix: String) throws(DirectoryError) {
        let parts = prefix.split(separator: "/", omittingEmptySubsequences: false)
        let domain = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, domain.count >= 2,
            domain.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isPart) }),
            parts.dropFirst().allSatisfy({ $0.utf8.allSatisfy(Self.isPart) })
        else {
            throw DirectoryError(
                "the annotation prefix `\(prefix)` is none; write a domain, and after it at most one slash and lower-case"
                    + " letters, digits, - and _, such as flannel.alpha.coreos.com or example.org/overlay"
            )
        }
        var start = parts.count == 1 ? prefix + "/" : prefix
        if !start.hasSuffix("/"), !start.hasSuffix("-") { start += "-" }
        managed = start + "kube-subnet-manager"
        backendType = start + "backend-type"
        backendData = start + "backend-data"
        backendV6Data = start + "backend-v6-data"
        publicIP = start + "public-ip"
        publicIPv6 = start + "public-ipv6"
        publicIPOverwrite = start + "public-ip-overwrite"
        publicIPv6Overwrite = start + "public-ipv6-overwrite"
        nodeIP = start + "node-public-ip"
        nodeIPv6 = start + "node-public-ipv6"
    }

    private static func isPart(_ byte: UInt8) -> Bool {
        (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2d || byte == 0x5f
    }

    /// All that is read.
    var all: Set<String> {
        [
            managed, backendType, backendData, backendV6Data, publicIP, publicIPv6, publicIPOverwrite,
            publicIPv6Overwrite,
            nodeIP, nodeIPv6, Self.record,
        ]
    }

    /// All that a node writes.
    var written: [String] {
        [managed, backendType, backendData, backendV6Data, publicIP, publicIPv6, Self.record]
    }
}
