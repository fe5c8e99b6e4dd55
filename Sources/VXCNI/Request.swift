/// What the runtime asks for, in its variables.
package struct Request: Equatable, Sendable {
    /// CNI_COMMAND.
    package enum Command: String, Sendable {
        case add = "ADD"
        case delete = "DEL"
        case check = "CHECK"
        case status = "STATUS"
        case collect = "GC"
        case version = "VERSION"

        /// The version of the specification that brought it.
        package var since: CNIVersion {
            switch self {
            case .add, .delete, .version: .v0_3_1
            case .check: .v0_4_0
            case .status, .collect: .v1_1_0
            }
        }

        /// Whether it is about one interface of one container.
        var concernsAttachment: Bool {
            switch self {
            case .add, .delete, .check: true
            case .status, .collect, .version: false
            }
        }

        var needsNamespace: Bool { self == .add || self == .check }
    }

    /// The command.
    package var command: Command
    /// Which interface of which container; nil where the command is about none.
    package var attachment: Attachment?
    /// CNI_NETNS: the path of the container's network namespace; nil where DEL comes after it is gone.
    package var namespace: String?
    /// CNI_PATH: where plugins are looked for.
    package var path: [String]

    /// Reads the variables.
    package init(environment: [String: String]) throws(CNIError) {
        let name = environment["CNI_COMMAND"] ?? ""
        guard let command = Command(rawValue: name) else {
            throw CNIError(
                .invalidEnvironment,
                name.isEmpty ? "CNI_COMMAND is missing" : "unknown CNI_COMMAND \(name)",
                "the commands are ADD, DEL, CHECK, STATUS, GC, VERSION; a container runtime sets it"
            )
        }
        self.command = command
        path = (environment["CNI_PATH"] ?? "").split(separator: ":").map(String.init)
        let namespace = environment["CNI_NETNS"] ?? ""
        self.namespace = namespace.isEmpty ? nil : namespace
        guard command.concernsAttachment else { return }
        attachment = try Attachment(
            containerID: environment["CNI_CONTAINERID"] ?? "",
            interface: environment["CNI_IFNAME"] ?? ""
        )
        if command.needsNamespace, namespace.isEmpty {
            throw CNIError(.invalidEnvironment, "CNI_NETNS is missing", "\(name) needs the container's namespace")
        }
    }
}

/// One interface of one container.
package struct Attachment: Hashable, Sendable {
    /// CNI_CONTAINERID: begins with a letter or digit, then letters, digits, `_`, `.`, `-`.
    package let containerID: String
    /// CNI_IFNAME: its name inside.
    package let interface: String

    /// Checks both: they become names of files and devices.
    package init(containerID: String, interface: String) throws(CNIError) {
        guard Self.isIdentifier(containerID) else {
            throw CNIError(
                .invalidEnvironment,
                "CNI_CONTAINERID is \(containerID.isEmpty ? "missing" : "no container id")",
                "it begins with a letter or digit, and has letters, digits, _ . - behind"
            )
        }
        guard Self.isInterfaceName(interface) else {
            throw CNIError(
                .invalidEnvironment,
                "CNI_IFNAME is \(interface.isEmpty ? "missing" : "no interface name")",
                "it has at most 15 bytes, no slash, colon or space, and is not . or .."
            )
        }
        self.containerID = containerID
        self.interface = interface
    }

    /// Whether a text fits the specification's expression for container ids and network names.
    package static func isIdentifier(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        }
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
    }

    private static func isInterfaceName(_ text: String) -> Bool {
        guard (1...15).contains(text.utf8.count), text != ".", text != ".." else { return false }
        // As the kernel's dev_valid_name; of what is no ASCII, runtimes have no use.
        return text.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"/:".utf8.contains($0) }
    }

    /// The device outside that belongs to it: the same each time, so that DEL finds it without a record. 11 hexadecimal digits
    /// of a 64-bit FNV-1a hash behind `veth`, 15 bytes in all.
    package var hostInterface: String {
        let text = String(stableHash("\(containerID):\(interface)") & 0xfff_ffff_ffff, radix: 16)
        return "veth" + String(repeating: "0", count: 11 - text.count) + text
    }
}

/// FNV-1a of 64 bits: the same in every process, unlike Swift's own hash. No secret depends on it.
func stableHash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
