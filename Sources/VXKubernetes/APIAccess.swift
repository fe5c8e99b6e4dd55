import Foundation
import NIOSSL
import VXConfig
import VXControl

/// Where the API is, and as whom it is asked.
struct APIAccess: Sendable, Equatable {
    /// A text that stands in the configuration, or in a file that may be replaced at any time.
    enum Source: Sendable, Equatable {
        case inline(Data)
        case file(String)
    }

    /// More than any certificate, key or token has.
    private static let largestFile = 1 << 20

    /// The URL, without a slash at its end.
    var server: String
    /// The certificates that sign the API's own, as PEM; nil for the system's.
    var authority: Source?
    /// A bearer token.
    var token: Source?
    /// This client's certificate, as PEM.
    var certificate: Source?
    /// Its private key, as PEM.
    var key: Source?

    /// - Throws: `KubernetesError.settings` where a token would be sent in the clear.
    init(
        server: String,
        authority: Source? = nil,
        token: Source? = nil,
        certificate: Source? = nil,
        key: Source? = nil
    ) throws(KubernetesError) {
        guard let url = URLComponents(string: server), let host = url.host, !host.isEmpty,
            url.query == nil, url.fragment == nil, url.user == nil, url.scheme == "https" || url.scheme == "http"
        else { throw .settings("the API's address `\(server)` is no URL; write https://HOST:PORT") }
        if url.scheme == "http", token != nil, !["127.0.0.1", "localhost", "::1", "[::1]"].contains(host) {
            throw .settings("a token is not sent to \(server) in the clear; write https:// there")
        }
        self.server = server.hasSuffix("/") ? String(server.dropLast()) : server
        self.authority = authority
        self.token = token
        self.certificate = certificate
        self.key = key
    }

    /// By a kubeconfig, or the service account.
    static func configured(_ configuration: KubernetesConfiguration) throws(DirectoryError) -> APIAccess {
        do throws(KubernetesError) {
            guard let path = configuration.kubeconfig else { return try inCluster() }
            return try Kubeconfig.access(path: path)
        } catch {
            throw error.directoryError
        }
    }

    /// The service account of the pod that this process runs in.
    static func inCluster(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        directory: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) throws(KubernetesError) -> APIAccess {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], let port = environment["KUBERNETES_SERVICE_PORT"],
            !host.isEmpty, UInt16(port) != nil
        else {
            throw .settings(
                "this is no pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); name a file with"
                    + " `kubeconfig:`"
            )
        }
        let name = host.contains(":") ? "[\(host)]" : host
        return try APIAccess(
            server: "https://\(name):\(port)",
            authority: .file(directory + "/ca.crt"),
            token: .file(directory + "/token")
        )
    }

    // The kubelet replaces the token of a pod every hour or so, and the authority's certificates when they are renewed:
    // all are read anew for each call, of which there are few.

    /// The header that says who asks; nil where a certificate does.
    func authorization() throws(KubernetesError) -> String? {
        guard let token else { return nil }
        let bytes = try Self.read(token, "token")
        guard let text = String(data: bytes, encoding: .utf8) else { throw .settings("the token is no text") }
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !trimmed.isEmpty, trimmed.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .settings(Self.name(token, "token") + " is empty, or of more than one line")
        }
        return "Bearer " + trimmed
    }

    /// What TLS is spoken with; nil without TLS.
    func encryption() throws(KubernetesError) -> TLSConfiguration? {
        guard server.hasPrefix("https:") else { return nil }
        var settings = TLSConfiguration.makeClientConfiguration()
        settings.minimumTLSVersion = .tlsv12
        if let authority {
            settings.trustRoots = .certificates(try Self.certificates(authority, "certificate-authority"))
        }
        if let certificate, let key {
            settings.certificateChain = try Self.certificates(certificate, "client-certificate").map {
                .certificate($0)
            }
            let bytes = try Self.read(key, "client-key")
            do {
                settings.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(bytes), format: .pem))
            } catch {
                throw .settings(Self.name(key, "client-key") + " holds no private key in PEM")
            }
        }
        return settings
    }

    private static func certificates(
        _ source: Source,
        _ name: String
    ) throws(KubernetesError) -> [NIOSSLCertificate] {
        let bytes = try read(source, name)
        do {
            return try NIOSSLCertificate.fromPEMBytes(Array(bytes))
        } catch {
            throw .settings(Self.name(source, name) + " holds no certificates in PEM")
        }
    }

    private static func read(_ source: Source, _ name: String) throws(KubernetesError) -> Data {
        switch source {
        case .inline(let data): return data
        case .file(let path):
            guard let data = FileManager.default.contents(atPath: path), data.count <= largestFile else {
                throw .settings("\(name) \(path) cannot be read; see that it exists and that this process may read it")
            }
            return data
        }
    }

    private static func name(_ source: Source, _ name: String) -> String {
        switch source {
        case .inline: name
        case .file(let path): "\(name) \(path)"
        }
    }
}
