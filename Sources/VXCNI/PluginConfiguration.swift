import VXWire

/// The network configuration that the runtime gives the plugin on stdin.
package struct PluginConfiguration: Equatable, Sendable {
    /// How pods are joined to the node.
    package enum Mode: String, Sendable {
        /// Ports of a bridge that has the node's address in the pods' subnet.
        case bridge
        /// No bridge: a route to each pod, and a next hop that is the same for all.
        case routed
    }

    /// cniVersion.
    package var version: CNIVersion
    /// name: of the network.
    package var name: String
    /// subnetFile: where the agent writes the node's subnet.
    package var subnetFile: String
    /// dataDir: where attachments are remembered.
    package var dataDirectory: String
    /// mode.
    package var mode: Mode
    /// bridge: its name.
    package var bridge: String
    /// hairpinMode: a pod reaches itself by a service's address.
    package var isHairpin: Bool
    /// isDefaultGateway: the pods' default route goes to the node.
    package var isDefaultGateway: Bool
    /// ipMasq; nil: when the agent does not.
    package var masquerades: Bool?
    /// mtu in bytes; nil: the agent's.
    package var mtu: Int?
    /// ipam: as it was given.
    package var ipam: [String: JSON]
    /// dns: for the result; nil: what the address plugin says.
    package var dns: JSON?
    /// prevResult.
    package var previous: JSON?
    /// cni.dev/valid-attachments; nil where it is missing.
    package var validAttachments: [Attachment]?
    /// Members that mean nothing to the plugin, with their values.
    package var unsupported: [String: JSON]
    /// The whole object.
    package var object: [String: JSON]

    private static let known: Set<String> = [
        "cniVersion", "name", "type", "subnetFile", "dataDir", "mode", "bridge", "hairpinMode", "isDefaultGateway",
        "ipMasq",
        "mtu", "ipam", "dns", "prevResult", "args", "capabilities", "runtimeConfig", "disableCheck", "disableGC",
    ]

    /// Reads the object and its version: what an error is told in.
    package static func object(from bytes: [UInt8]) throws(CNIError) -> [String: JSON] {
        guard let object = JSON(parsing: bytes)?.object else {
            throw CNIError(
                .undecodable,
                "the network configuration on stdin is no JSON object",
                bytes.isEmpty ? "stdin is empty" : "\(bytes.count) bytes"
            )
        }
        return object
    }

    package init(_ object: [String: JSON]) throws(CNIError) {
        self.object = object
        version = try Self.version(of: object)
        name = try Self.text("name", of: object) ?? ""
        guard Attachment.isIdentifier(name) else {
            throw Self.invalid(
                "name",
                "the network's name begins with a letter or digit, and has letters, digits, _ . - behind"
            )
        }
        subnetFile = try Self.text("subnetFile", of: object) ?? "/run/flannel/subnet.env"
        dataDirectory = try Self.text("dataDir", of: object) ?? "/var/lib/cni/vxseal"
        for (field, path) in [("subnetFile", subnetFile), ("dataDir", dataDirectory)] where !path.hasPrefix("/") {
            throw Self.invalid(field, "\(path) is no absolute path")
        }
        let mode = try Self.text("mode", of: object) ?? Mode.bridge.rawValue
        guard let mode = Mode(rawValue: mode) else {
            throw Self.invalid("mode", "\(mode) is neither bridge nor routed")
        }
        self.mode = mode
        bridge = try Self.text("bridge", of: object) ?? "cni0"
        guard (try? Attachment(containerID: "x", interface: bridge)) != nil else {
            throw Self.invalid(
                "bridge",
                "\(bridge) is no name for a device: at most 15 bytes, no slash, colon or space"
            )
        }
        isHairpin = try Self.flag("hairpinMode", of: object) ?? true
        isDefaultGateway = try Self.flag("isDefaultGateway", of: object) ?? true
        masquerades = try Self.flag("ipMasq", of: object)
        mtu = try Self.mtu(of: object)
        switch object["ipam"] {
        case nil, .null: ipam = [:]
        case .object(let given): ipam = given
        default: throw Self.invalid("ipam", "it must be an object")
        }
        if let type = ipam["type"], type.text.map(Attachment.isIdentifier) != true {
            throw Self.invalid("ipam.type", "it must be the name of a plugin")
        }
        dns = object["dns"].flatMap { $0.object?.isEmpty == false ? $0 : nil }
        previous = object["prevResult"].flatMap { $0 == .null ? nil : $0 }
        validAttachments = try Self.validAttachments(of: object)
        unsupported = object.filter { !Self.known.contains($0.key) && !$0.key.hasPrefix("cni.dev/") }
    }

    /// The version that an object asks for.
    package static func version(of object: [String: JSON]) throws(CNIError) -> CNIVersion {
        // The specification: without one it is 0.1.0.
        let asked = try text("cniVersion", of: object) ?? "0.1.0"
        guard let version = CNIVersion(rawValue: asked) else {
            throw CNIError(
                .incompatibleVersion,
                "cniVersion \(asked) is not supported",
                "supported: " + CNIVersion.allCases.map(\.rawValue).joined(separator: ", ")
            )
        }
        return version
    }

    /// Refuses what the plugin would not do. Not asked for DEL and GC: they must work with whatever ADD was given.
    package func refuseUnsupported() throws(CNIError) {
        guard let (field, value) = unsupported.min(by: { $0.key < $1.key }) else { return }
        throw CNIError(
            .unsupportedField,
            "\(field) is not supported: \(String(decoding: value.bytes.prefix(200), as: UTF8.self))",
            "take it out of the configuration of network \(name)"
        )
    }

    private static func mtu(of object: [String: JSON]) throws(CNIError) -> Int? {
        guard let value = object["mtu"], value != .null else { return nil }
        // 68: RFC 791. Zero is how others write "not given".
        guard let mtu = value.integer, mtu == 0 || (68...65_535).contains(mtu) else {
            throw invalid("mtu", "it must be a number of bytes from 68 to 65535")
        }
        return mtu == 0 ? nil : mtu
    }

    private static func validAttachments(of object: [String: JSON]) throws(CNIError) -> [Attachment]? {
        let field = "cni.dev/valid-attachments"
        guard let value = object[field] else { return nil }
        // How Go writes an empty list.
        if value == .null { return [] }
        guard let list = value.list else { throw invalid(field, "it must be a list") }
        return try list.map { entry throws(CNIError) in
            guard let id = entry["containerID"]?.text, let interface = entry["ifname"]?.text,
                let attachment = try? Attachment(containerID: id, interface: interface)
            else { throw invalid(field, "each entry has a containerID and an ifname") }
            return attachment
        }
    }

    private static func text(_ field: String, of object: [String: JSON]) throws(CNIError) -> String? {
        guard let value = object[field], value != .null else { return nil }
        guard let text = value.text else { throw invalid(field, "it must be a text") }
        return text.isEmpty ? nil : text
    }

    private static func flag(_ field: String, of object: [String: JSON]) throws(CNIError) -> Bool? {
        guard let value = object[field], value != .null else { return nil }
        guard let flag = value.flag else { throw invalid(field, "it must be true or false") }
        return flag
    }

    private static func invalid(_ field: String, _ why: String) -> CNIError {
        CNIError(.invalidConfiguration, "invalid \(field)", why)
    }
}
