import ArgumentParser
import Foundation
import Logging
import VXAgent
import VXConfig
import VXCrypto
import VXDaemon
import VXLinux

struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Run a node whose network and peers come from etcd, Kubernetes or files, in the foreground."
    )

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "This node's name, in place of the file's.")
    var node: String?

    @Option(help: "Lines of the log on standard error; by default the journal's, where it reads it, else text.")
    var logFormat: LogFormat?

    func run() async throws {
        var loader = options.loader
        loader.nodeName = node
        loader.makeMissingKey = Self.makeKey
        let configuration = try ConfigurationOptions.wording { () throws(ConfigurationProblems) in
            try loader.loadAgent(path: options.file)
        }
        DaemonLog.start(logFormat)
        do {
            try await Agent(configuration: configuration, words: words, logger: Logger(label: "vxseal")).run()
        } catch {
            throw CommandFailure("error: \(error)")
        }
    }

    /// What the packet process is told beside its configuration.
    private var words: [String] {
        (options.allowExampleKeys ? ["--allow-example-keys"] : [])
            + (options.allowVolatileState ? ["--allow-volatile-state"] : [])
            + (logFormat.map { ["--log-format", $0.rawValue] } ?? [])
    }

    /// A node of a cluster makes its own identity at the first start.
    private static let makeKey: @Sendable (String) throws -> Void = { path in
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        try StaticKeyPair().withBase64 {
            try DurableFile.createExclusively(path, bytes: Array(($0 + "\n").utf8), mode: 0o600)
        }
    }
}
