import Foundation
import Yams

/// What of a kubeconfig file is understood; what would change who asks, or whom, and is not, is refused.
struct Kubeconfig: Decodable {
    /// Something is written there.
    private struct Anything: Decodable {
        init(from decoder: any Decoder) throws {}
    }

    private struct Cluster: Decodable {
        let server: String?
        let authority: String?
        let authorityData: String?
        let skipsVerification: Bool?
        let serverName: Anything?
        let proxy: Anything?

        enum CodingKeys: String, CodingKey {
            case server
            case authority = "certificate-authority"
            case authorityData = "certificate-authority-data"
            case skipsVerification = "insecure-skip-tls-verify"
            case serverName = "tls-server-name"
            case proxy = "proxy-url"
        }
    }

    private struct User: Decodable {
        let certificate: String?
        let certificateData: String?
        let key: String?
        let keyData: String?
        let token: String?
        let tokenFile: String?
        let exec: Anything?
        let provider: Anything?
        let username: Anything?
        let impersonated: Anything?

        enum CodingKeys: String, CodingKey {
            case certificate = "client-certificate"
            case certificateData = "client-certificate-data"
            case key = "client-key"
            case keyData = "client-key-data"
            case token
            case tokenFile
            case exec
            case provider = "auth-provider"
            case username
            case impersonated = "as"
        }
    }

    private struct Context: Decodable {
        let cluster: String
        let user: String?
    }

    private struct NamedCluster: Decodable {
        let name: String
        let cluster: Cluster
    }

    private struct NamedUser: Decodable {
        let name: String
        let user: User
    }

    private struct NamedContext: Decodable {
        let name: String
        let context: Context
    }

    private let clusters: [NamedCluster]?
    private let users: [NamedUser]?
    private let contexts: [NamedContext]?
    private let current: String?

    private enum CodingKeys: String, CodingKey {
        case clusters, users, contexts
        case current = "current-context"
    }

    /// More than any has.
    private static let largestFile = 4 << 20

    /// Reads a file; its current context is used.
    /// - Throws: `KubernetesError.settings`.
    static func access(path: String) throws(KubernetesError) -> APIAccess {
        guard let data = FileManager.default.contents(atPath: path), data.count <= largestFile,
            let text = String(data: data, encoding: .utf8)
        else {
            throw .settings("kubeconfig \(path) cannot be read; see that it exists and that this process may read it")
        }
        do {
            return try access(text, directory: (path as NSString).deletingLastPathComponent)
        } catch {
            throw .settings("kubeconfig \(path): \(error)")
        }
    }

    /// - Parameters:
    ///   - text: the file's.
    ///   - directory: what relative paths in it are relative to.
    static func access(_ text: String, directory: String) throws(KubernetesError) -> APIAccess {
        let file: Kubeconfig
        do {
            file = try YAMLDecoder().decode(Kubeconfig.self, from: text)
        } catch {
            // Yams' own text would quote the lines around, and so a key.
            throw .settings("it is no kubeconfig in YAML")
        }
        guard let name = file.current, !name.isEmpty else {
            throw .settings("it has no current-context; set one: kubectl config use-context NAME")
        }
        guard let context = file.contexts?.first(where: { $0.name == name })?.context else {
            throw .settings("its current-context `\(name)` is not among its contexts")
        }
        guard let cluster = file.clusters?.first(where: { $0.name == context.cluster })?.cluster,
            let server = cluster.server
        else { throw .settings("its cluster `\(context.cluster)` is not there, or has no server") }
        try refuse(cluster)
        var user: User?
        if let name = context.user, !name.isEmpty {
            user = file.users?.first { $0.name == name }?.user
            guard let user else { throw .settings("its user `\(name)` is not among its users") }
            try refuse(user)
        }
        let certificate = try source(user?.certificateData, user?.certificate, directory, "client-certificate-data")
        let key = try source(user?.keyData, user?.key, directory, "client-key-data")
        guard (certificate == nil) == (key == nil) else {
            throw .settings("client-certificate and client-key only go together")
        }
        // As kubectl: a file goes before a token.
        let tokenFile = user?.tokenFile.map { APIAccess.Source.file(path($0, directory)) }
        return try APIAccess(
            server: server,
            authority: source(cluster.authorityData, cluster.authority, directory, "certificate-authority-data"),
            token: tokenFile ?? user?.token.map { .inline(Data($0.utf8)) },
            certificate: certificate,
            key: key
        )
    }

    private static func refuse(_ cluster: Cluster) throws(KubernetesError) {
        if cluster.skipsVerification == true {
            throw .settings(
                "insecure-skip-tls-verify is not supported: whoever is in between could give every node's address;"
                    + " write certificate-authority"
            )
        }
        if cluster.serverName != nil {
            throw .settings("tls-server-name is not supported; name the server by that name")
        }
        if cluster.proxy != nil { throw .settings("proxy-url is not supported; the API must be reached directly") }
    }

    private static func refuse(_ user: User) throws(KubernetesError) {
        if user.exec != nil || user.provider != nil {
            throw .settings(
                "credentials by a program (exec, auth-provider) are not supported; use a service account's tokenFile, or a"
                    + " client certificate"
            )
        }
        if user.username != nil {
            throw .settings("username and password are not supported; use a token or certificate")
        }
        if user.impersonated != nil {
            throw .settings("impersonation (as) is not supported; use that user's own token")
        }
    }

    private static func source(
        _ data: String?,
        _ file: String?,
        _ directory: String,
        _ name: String
    ) throws(KubernetesError) -> APIAccess.Source? {
        if let data, !data.isEmpty {
            guard let bytes = Data(base64Encoded: data) else { throw .settings("\(name) is no base64") }
            return .inline(bytes)
        }
        guard let file, !file.isEmpty else { return nil }
        return .file(path(file, directory))
    }

    private static func path(_ file: String, _ directory: String) -> String {
        file.hasPrefix("/") || directory.isEmpty ? file : directory + "/" + file
    }
}
