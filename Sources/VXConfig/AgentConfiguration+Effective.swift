extension AgentConfiguration {
    /// The configuration as it takes effect, defaults filled in, as YAML that loads to the same again.
    public var yaml: String {
        // Networks and peers, which come last there, are the directory's.
        var lines = node.yaml.split(separator: "\n").map(String.init).filter { $0 != "networks:" }
        lines.append("directory:")
        lines += directory.yaml.map { "  " + $0 }
        if let seal { lines.append("seal: \(seal)") }
        switch trust {
        case .directory: lines.append("trust: directory")
        case .pinned: lines.append("trust: pinned")
        case .roster(let file, let key):
            lines += ["trust: roster", "rosterFile: \"\(file)\"", "rosterKey: \"\(key)\""]
        }
        lines.append("interface: \(interface.map { "\"\($0)\"" } ?? "auto")")
        if let publicIP { lines.append("publicIP: \"\(publicIP)\"") }
        if let publicIPv6 { lines.append("publicIPv6: \"\(publicIPv6)\"") }
        lines += ["subnetFile: \"\(subnetFile)\"", "masquerade: \(masquerade)"]
        if let device { lines.append("device: \"\(device)\"") }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension AgentConfiguration.Directory {
    fileprivate var yaml: [String] {
        var lines = ["type: \(name)"]
        func add(_ field: String, _ value: String?) { if let value { lines.append("\(field): \"\(value)\"") } }
        switch self {
        case .file(let path): add("path", path)
        case .kubernetes(let settings):
            add("kubeconfig", settings.kubeconfig)
            add("netConf", settings.netConf)
            add("annotationPrefix", settings.annotationPrefix)
        case .calico(let settings):
            add("kubeconfig", settings.kubernetes.kubeconfig)
            add("netConf", settings.kubernetes.netConf)
            lines.append("crossSubnet: \(settings.isCrossSubnet)")
        case .etcd(let settings):
            lines.append("endpoints: [\(settings.endpoints.map { "\"\($0)\"" }.joined(separator: ", "))]")
            add("prefix", settings.prefix)
            add("caFile", settings.caFile)
            add("certificateFile", settings.certificateFile)
            add("keyFile", settings.keyFile)
            add("username", settings.username)
            add("passwordFile", settings.passwordFile)
        }
        return lines
    }
}
