public import ArgumentParser
import Foundation
import Logging
import VXConfig
import VXControlSocket
public import VXDaemon

/// The configuration file and what it may contain.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: [.customShort("c"), .customLong("config")], help: "The configuration file.")
    var file: String

    @Flag(help: "Accept the keys of keys-example/, which everybody has.")
    var allowExampleKeys = false

    @Flag(help: "Accept a state directory that a reboot empties.")
    var allowVolatileState = false

    var loader: ConfigurationLoader {
        var loader = ConfigurationLoader()
        loader.allowExampleKeys = allowExampleKeys
        loader.allowVolatileState = allowVolatileState
        return loader
    }

    func load() throws -> NodeConfiguration {
        try Self.wording { () throws(ConfigurationProblems) in try loader.load(path: file) }
    }

    /// Words what is wrong with a file.
    static func wording<Configuration>(
        _ body: () throws(ConfigurationProblems) -> Configuration
    ) throws -> Configuration {
        do {
            return try body()
        } catch {
            let lines = error.problems.map { "error: \($0)" }
            throw CommandFailure(lines.joined(separator: "\n"), code: CommandFailure.badConfiguration)
        }
    }
}

extension LogFormat: ExpressibleByArgument {}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validate a configuration and print the effective one, or every problem at once."
    )

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "The file is an agent's: `vxseal agent`.")
    var agent = false

    func run() throws {
        if agent {
            print(
                try ConfigurationOptions.wording { () throws(ConfigurationProblems) in
                    try options.loader.loadAgent(path: options.file)
                }.yaml,
                terminator: ""
            )
        } else {
            print(try options.load().yaml, terminator: "")
        }
    }
}

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the daemon in the foreground.")

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "Lines of the log on standard error; by default the journal's, where it reads it, else text.")
    var logFormat: LogFormat?

    /// Opens what the daemon needs, before the process has a second thread.
    func prepare() throws -> @Sendable () async throws -> Void {
        let configuration = try options.load()
        DaemonLog.start(logFormat)
        let logger = Logger(label: "vxseal")
        let source = ConfigurationSource(loader: options.loader, path: options.file)
        let body = try Self.wording {
            try Gateway(configuration: configuration, source: source, logger: logger).prepare()
        }
        return {
            do { try await body() } catch { throw CommandFailure("error: \(error)") }
        }
    }

    private static func wording<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw CommandFailure("error: \(error)") }
    }

    func run() async throws { try await prepare()() }
}

/// Where the daemon listens (product.md, Command line).
struct SocketOptions: ParsableArguments {
    @Option(help: "The daemon's admin socket.")
    var socket: String?

    @Flag(help: "Print JSON.")
    var json = false

    func client() throws -> AdminClient { try Self.client(socket: socket) }

    static func client(socket: String?) throws -> AdminClient { AdminClient(socket: try path(socket)) }

    /// The socket that is named, or the only one there is.
    static func path(_ named: String?) throws -> String {
        if let named { return named }
        if let socket = ProcessInfo.processInfo.environment["VXSEAL_SOCKET"], !socket.isEmpty { return socket }
        let directory = "/run/vxseal"
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter {
            $0.hasSuffix(".sock")
        }.sorted()
        if names.count == 1 { return "\(directory)/\(names[0])" }
        if names.isEmpty {
            throw CommandFailure(
                "error: no daemon's socket in \(directory); start one with: vxseal up -c FILE, or name it with --socket"
            )
        }
        let list = names.map { "  --socket \(directory)/\($0)" }.joined(separator: "\n")
        throw CommandFailure("error: several daemons run here; name one of them:\n\(list)")
    }
}

/// Runs a request and words its failure.
func asking<Reply>(_ body: () async throws -> Reply) async throws -> Reply {
    do {
        return try await body()
    } catch let failure as AdminClient.Failure {
        throw CommandFailure("error: \(failure)")
    }
}
