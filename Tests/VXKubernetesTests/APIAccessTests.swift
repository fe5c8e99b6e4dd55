import Foundation
import Testing

@testable import VXKubernetes

struct APIAccessTests {
    private static func kubeconfig(cluster: String = "", user: String = "token: abc", rest: String = "") -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: here
        contexts:
        - name: here
          context: {cluster: c, user: u, namespace: x}
        - name: there
          context: {cluster: d, user: v}
        clusters:
        - name: c
          cluster: {server: "https://192.0.2.1:6443/"\(cluster.isEmpty ? "" : ", " + cluster)}
        users:
        - name: u
          user: {\(user)}
        - name: v
          user: {exec: {command: cloud}}
        \(rest)
        """
    }

    @Test func currentContextIsUsed() throws {
        let access = try Kubeconfig.access(
            Self.kubeconfig(
                cluster: "certificate-authority: ca.crt",
                user:
                    "client-certificate-data: \(Data("c".utf8).base64EncodedString()), client-key: /keys/k, token: abc"
            ),
            directory: "/etc/kube"
        )
        #expect(access.server == "https://192.0.2.1:6443")
        #expect(access.authority == .file("/etc/kube/ca.crt"))
        #expect(access.certificate == .inline(Data("c".utf8)))
        #expect(access.key == .file("/keys/k"))
        #expect(try access.authorization() == "Bearer abc")
    }

    @Test func fileOfTokenGoesBeforeToken() throws {
        let access = try Kubeconfig.access(Self.kubeconfig(user: "token: abc, tokenFile: t"), directory: "/d")
        #expect(access.token == .file("/d/t"))
    }

    @Test(arguments: [
        ("insecure-skip-tls-verify: true", "token: s3cret", "insecure-skip-tls-verify"),
        ("tls-server-name: x", "token: s3cret", "tls-server-name"), ("proxy-url: x", "token: s3cret", "proxy-url"),
        ("", "exec: {command: s3cret}", "exec"), ("", "auth-provider: {name: s3cret}", "auth-provider"),
        ("", "username: a, password: s3cret", "password"), ("", "as: s3cret", "impersonation"),
        ("", "client-key: /s3cret", "client-certificate"), ("", "client-key-data: s3cret!", "base64"),
        ("certificate-authority-data: s3cret!", "token: a", "base64"), ("server: \"ftp://s3cret\"", "token: a", "YAML"),
    ]) func whatIsNotUnderstoodIsRefused(cluster: String, user: String, said: String) {
        let error = #expect(throws: KubernetesError.self) {
            try Kubeconfig.access(Self.kubeconfig(cluster: cluster, user: user), directory: "/d")
        }
        #expect(error?.description.contains(said) == true)
        #expect(error?.description.contains("s3cret") == false)
    }

    @Test(arguments: ["{", "", "current-context: nowhere", "- a"]) func otherTextsAreNone(text: String) {
        #expect(throws: KubernetesError.self) { try Kubeconfig.access(text, directory: "") }
    }

    @Test func podsAreTold() throws {
        let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        let access = try APIAccess.inCluster(environment: environment, directory: "/sa")
        #expect(access.server == "https://[fd00::1]:443")
        #expect(access.authority == .file("/sa/ca.crt"))
        #expect(access.token == .file("/sa/token"))
        let error = #expect(throws: KubernetesError.self) { try APIAccess.inCluster(environment: [:]) }
        #expect(error?.description.contains("kubeconfig") == true)
    }

    @Test func tokensAreNotSentInTheClear() throws {
        #expect(throws: KubernetesError.self) {
            try APIAccess(server: "http://192.0.2.1:8080", token: .inline(Data("s3cret".utf8)))
        }
        #expect(throws: Never.self) { try APIAccess(server: "http://192.0.2.1:8080") }
        #expect(throws: Never.self) { try APIAccess(server: "http://[::1]:8080", token: .inline(Data("t".utf8))) }
    }

    @Test(arguments: ["", "  \n", "a b", "a\nAuthorization: x", "ü"]) func otherTokensAreRefused(text: String) throws {
        let access = try APIAccess(server: "https://192.0.2.1", token: .inline(Data(text.utf8)))
        #expect(throws: KubernetesError.self) { try access.authorization() }
    }
}
