import Foundation
import Testing
import VXCrypto

@testable import VXConfig

/// What an agent's file may say.
@Suite final class AgentConfigurationTests {
    private let directory: URL
    private var loader = ConfigurationLoader()

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        loader.allowVolatileState = true
        try StaticKeyPair().withBase64 { try write("node.key", $0) }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func write(_ name: String, _ text: String) throws {
        let path = directory.appendingPathComponent(name).path
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    private func load(_ rest: String, head: String? = nil) throws -> AgentConfiguration {
        let head = head ?? "node: n1\nprivateKeyFile: node.key\nstateDirectory: \(directory.path)\n"
        try write("agent.yaml", head + rest)
        return try loader.loadAgent(path: directory.appendingPathComponent("agent.yaml").path)
    }

    private func problems(_ rest: String) -> [String] {
        do {
            _ = try load(rest)
            return []
        } catch let error as ConfigurationProblems {
            return error.problems.map(\.what)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func defaultsAreFlannels() throws {
        let configuration = try load("directory: {type: etcd}\n")
        #expect(configuration.directory == .etcd(EtcdConfiguration()))
        #expect(configuration.seal == nil && configuration.trust == .directory && !configuration.masquerade)
        #expect(configuration.subnetFile == "/run/flannel/subnet.env")
        #expect(configuration.interface == nil && configuration.node.networks.isEmpty)
        #expect(
            try load("directory: {type: kubernetes}\n").directory == .kubernetes(KubernetesConfiguration(node: "n1"))
        )
    }

    @Test(arguments: [
        "directory: {type: etcd, endpoints: [\"https://a:2379\", \"https://b:2379\"], prefix: /x/, caFile: ca.pem, "
            + "certificateFile: c.pem, keyFile: k.pem, username: u, passwordFile: p}\nseal: prefer\ntrust: pinned\n",
        "directory: {type: kubernetes, kubeconfig: k, netConf: n, annotationPrefix: a.b/c}\ninterface: eth1\n"
            + "publicIP: 192.0.2.1\npublicIPv6: 2001:db8::1\nmasquerade: true\ndevice: ovl\n",
        "directory: {type: calico, kubeconfig: k, crossSubnet: true}\n",
        "directory: {type: file, path: d}\ntrust: roster\nrosterFile: r\n"
            + "rosterKey: OsXa4DRtizRm3I9GVF95/O8wtlc6VMRuUsbKJcp3D3s=\nsubnetFile: /s\n",
    ])
    func theEffectiveOneLoadsToTheSame(text: String) throws {
        let configuration = try load(text)
        let again = try load(configuration.yaml, head: "")
        #expect(again.directory == configuration.directory && again.trust == configuration.trust)
        #expect(again.seal == configuration.seal && again.yaml == configuration.yaml)
    }

    @Test(arguments: [
        ("", "directory is missing"), ("directory: {type: consul}", "there is no such directory"),
        ("directory: {type: file}", "directory.path is missing"),
        ("directory: {type: etcd, endpoints: [a]}", "an item of directory.endpoints cannot be read"),
        ("directory: {type: etcd, keyFile: k}", "certificateFile and keyFile belong together"),
        ("directory: {type: etcd, username: u}", "username and passwordFile belong together"),
        ("directory: {type: etcd, netConf: n}", "unknown key `directory.netConf`"),
        ("directory: {type: calico}\nseal: prefer", "Calico's nodes publish no keys"),
        ("directory: {type: etcd}\nseal: maybe", "seal `maybe` cannot be read"),
        ("directory: {type: etcd}\ntrust: roster", "a roster needs a file and a key"),
        ("directory: {type: etcd}\nrosterFile: r", "a roster is named and not used"),
        ("directory: {type: etcd}\npeers: []", "an agent's peers come from the directory"),
        ("directory: {type: etcd}\nmasqerade: true", "unknown key `masqerade`"),
    ])
    func whatIsWrongIsNamed(text: String, problem: String) { #expect(problems(text + "\n") == [problem]) }

    @Test func aNameIsOneOfKubernetes() throws {
        loader.nodeName = "Node_A"
        #expect(problems("directory: {type: etcd}\n") == ["`Node_A` is no name for a node of a cluster"])
        loader.nodeName = "node-a.example"
        #expect(try load("directory: {type: etcd}\n").node.node == "node-a.example")
    }

    @Test func aMissingKeyIsMadeWhereThatIsWanted() throws {
        try FileManager.default.removeItem(at: directory.appendingPathComponent("node.key"))
        #expect(!problems("directory: {type: etcd}\n").isEmpty)
        loader.makeMissingKey = { path in
            try StaticKeyPair().withBase64 { try Data($0.utf8).write(to: URL(fileURLWithPath: path)) }
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        }
        let made = try load("directory: {type: etcd}\n").node.identity.publicKey
        #expect(try load("directory: {type: etcd}\n").node.identity.publicKey == made)
    }

    @Test(arguments: ["etcd", "kubernetes", "file"])
    func theExamplesLoad(name: String) throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("Configs/agent/\(name).yaml"), encoding: .utf8)
        let lines = text.split(separator: "\n").map { line in
            line.hasPrefix("privateKeyFile:") ? "privateKeyFile: node.key" : String(line)
        }
        let configuration = try load(lines.joined(separator: "\n") + "\n", head: "")
        #expect(configuration.directory.name == name)
    }
}
