/// How etcd is reached, and what of it is the overlay's.
public struct EtcdConfiguration: Sendable, Equatable {
    /// URLs of the members, `http://` or `https://` with host and port; the first that answers is used.
    public var endpoints: [String]
    /// Under which keys the overlay is; flannel's `--etcd-prefix`.
    public var prefix: String
    /// PEM with the certificates of the authorities that the members' are signed by; nil for the system's.
    public var caFile: String?
    /// PEM with the node's certificate and those that it is signed by.
    public var certificateFile: String?
    /// PEM with its key, readable by its owner alone.
    public var keyFile: String?
    /// The user; nil where etcd asks for none.
    public var username: String?
    /// A file with the user's password, readable by its owner alone. It is read whenever a password is needed.
    public var passwordFile: String?

    /// What flannel uses where `--etcd-prefix` is not given.
    public static let defaultPrefix = "/coreos.com/network"

    /// From its parts.
    public init(
        endpoints: [String] = ["http://127.0.0.1:2379"],
        prefix: String = Self.defaultPrefix,
        caFile: String? = nil,
        certificateFile: String? = nil,
        keyFile: String? = nil,
        username: String? = nil,
        passwordFile: String? = nil
    ) {
        self.endpoints = endpoints
        self.prefix = prefix
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.username = username
        self.passwordFile = passwordFile
    }
}
