import VXCrypto
import VXWire
import Yams

/// Reads what an agent's configuration has in place of networks and peers.
struct AgentReader {
    let problems: ProblemList
    let resolve: (String) -> String

    func read(_ reader: MappingReader, node: NodeConfiguration?) -> AgentConfiguration? {
        for field in ["networks", "peers"] where reader.value(field) != nil {
            problems.add(
                reader.value(field),
                "an agent's \(field) come from the directory",
                "remove it, or use: vxseal up"
            )
        }
        let directory = directory(reader, node: node?.node ?? "")
        let seal = reader.parsed("seal", "write off, prefer or require") { text in
            ["off", "prefer", "require"].contains(text) ? text : nil
        }
        if case .calico = directory, let seal, seal != "off" {
            problems.add(reader.value("seal"), "Calico's nodes publish no keys", "write `seal: off`, or leave it out")
        }
        let trust = trust(reader)
        let interface = reader.text("interface")
        let publicIP = reader.parsed("publicIP", "write it as 192.0.2.1") { IPv4Address($0) }
        let publicIPv6 = reader.parsed("publicIPv6", "write it as 2001:db8::1") { IPv6Address($0) }
        let subnetFile = reader.text("subnetFile") ?? "/run/flannel/subnet.env"
        let masquerade = reader.boolean("masquerade", default: false)
        let device = reader.parsed("device", "use at most 15 bytes, no slash") { text in
            text.utf8.count <= 15 && !text.contains("/") && !text.contains(where: \.isWhitespace) ? text : nil
        }
        guard let node, let directory, let trust else { return nil }
        return AgentConfiguration(
            node: node,
            directory: directory,
            seal: seal,
            trust: trust,
            interface: interface == "auto" ? nil : interface,
            publicIP: publicIP,
            publicIPv6: publicIPv6,
            subnetFile: subnetFile,
            masquerade: masquerade,
            device: device
        )
    }

    private func directory(_ outer: MappingReader, node: String) -> AgentConfiguration.Directory? {
        guard let item = outer.value("directory") else {
            problems.add(
                outer.node,
                "directory is missing",
                "say where nodes find each other: `directory: {type: etcd}`"
            )
            return nil
        }
        guard let reader = MappingReader(item, path: "directory", problems: problems) else { return nil }
        defer { reader.finish() }
        switch reader.required("type", "write etcd, kubernetes, calico or file") {
        case "etcd": return .etcd(etcd(reader))
        case "kubernetes":
            return .kubernetes(
                KubernetesConfiguration(
                    node: node,
                    kubeconfig: reader.text("kubeconfig").map(resolve),
                    netConf: reader.text("netConf").map(resolve) ?? KubernetesConfiguration.usualNetConf,
                    annotationPrefix: reader.text("annotationPrefix") ?? KubernetesConfiguration.flannelPrefix
                )
            )
        case "calico":
            return .calico(
                CalicoConfiguration(
                    kubernetes: KubernetesConfiguration(
                        node: node,
                        kubeconfig: reader.text("kubeconfig").map(resolve),
                        netConf: reader.text("netConf").map(resolve) ?? KubernetesConfiguration.usualNetConf
                    ),
                    isCrossSubnet: reader.boolean("crossSubnet", default: false)
                )
            )
        case "file":
            return reader.required("path", "name the file with the leases").map { .file(resolve($0)) }
        case .some:
            problems.add(reader.value("type"), "there is no such directory", "write etcd, kubernetes, calico or file")
            return nil
        case nil: return nil
        }
    }

    private func etcd(_ reader: MappingReader) -> EtcdConfiguration {
        let endpoints = reader.parsedItems("endpoints", "write URLs: http://127.0.0.1:2379") { text in
            text.hasPrefix("http://") || text.hasPrefix("https://") ? text : nil
        }
        let prefix = reader.parsed("prefix", "begin it with a slash") { text in
            text.hasPrefix("/") && text.utf8.count > 1 ? text : nil
        }
        let etcd = EtcdConfiguration(
            endpoints: endpoints.isEmpty ? ["http://127.0.0.1:2379"] : endpoints,
            prefix: prefix.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 } ?? EtcdConfiguration.defaultPrefix,
            caFile: reader.text("caFile").map(resolve),
            certificateFile: reader.text("certificateFile").map(resolve),
            keyFile: reader.text("keyFile").map(resolve),
            username: reader.text("username"),
            passwordFile: reader.text("passwordFile").map(resolve)
        )
        if (etcd.certificateFile == nil) != (etcd.keyFile == nil) {
            problems.add(reader.node, "certificateFile and keyFile belong together", "give both, or none")
        }
        if (etcd.username == nil) != (etcd.passwordFile == nil) {
            problems.add(reader.node, "username and passwordFile belong together", "give both, or none")
        }
        return etcd
    }

    private func trust(_ reader: MappingReader) -> AgentConfiguration.Trust? {
        let file = reader.text("rosterFile").map(resolve)
        let key = reader.parsed("rosterKey", "it is what `vxseal roster genkey` prints: 44 characters") {
            SigningKey(base64: $0)
        }
        let word = reader.parsed("trust", "write directory, pinned or roster") { text in
            ["directory", "pinned", "roster"].contains(text) ? text : nil
        }
        switch word {
        case "roster":
            guard let file, let key else {
                problems.add(reader.value("trust"), "a roster needs a file and a key", "give rosterFile and rosterKey")
                return nil
            }
            return .roster(file: file, key: key)
        case "pinned": return .pinned
        default:
            if file != nil || key != nil {
                problems.add(
                    reader.value("rosterFile") ?? reader.value("rosterKey"),
                    "a roster is named and not used",
                    "write `trust: roster`, or remove rosterFile and rosterKey"
                )
            }
            return .directory
        }
    }
}
