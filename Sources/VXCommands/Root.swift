public import ArgumentParser
import Dispatch
import VXDaemon

/// `vxseal` and its verbs.
public struct Root: AsyncParsableCommand {
    /// The command's names and help.
    public static let configuration = CommandConfiguration(
        commandName: "vxseal",
        abstract: "An encrypted VXLAN gateway: a userspace VTEP that seals frames between nodes.",
        version: Release.version,
        subcommands: [
            GenerateKey.self, PublicKeyCommand.self, GeneratePresharedKey.self, Check.self, Up.self, Reload.self,
            Status.self, Top.self, Peers.self, FDB.self, Ping.self, Trace.self, Capture.self, Firewall.self,
            Doctor.self, Rotate.self, AgentCommand.self, Migrate.self, RosterCommand.self, InstallCNI.self,
            Demo.self, DemoTraffic.self,
        ]
    )

    /// For the parser.
    public init() {}

    /// Runs the program and ends it with product.md's exit codes: 0 success, 1 failed, 2 wrong usage, 78 bad
    /// configuration.
    ///
    /// The daemon gives up rights while this thread is the only one, hence before anything is asynchronous.
    public static func start() -> Never {
        let daemon: (@Sendable () async throws -> Void)?
        do {
            daemon = try (parseAsRoot() as? Up)?.prepare()
        } catch {
            end(error)
        }
        Task {
            do {
                if let daemon { try await daemon() } else { try await perform() }
                exit(withError: ExitCode.success)
            } catch {
                end(error)
            }
        }
        dispatchMain()
    }

    /// Any other command.
    private static func perform() async throws {
        var command = try parseAsRoot()
        if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
        } else {
            try command.run()
        }
    }

    private static func end(_ error: any Error) -> Never {
        if let failure = error as? CommandFailure {
            Terminal.complain(failure.text)
            exit(withError: ExitCode(failure.code))
        }
        let code = exitCode(for: error)
        guard code == .validationFailure else {
            if code == .success || error is ExitCode || error is CleanExit { exit(withError: error) }
            Terminal.complain("error: \(error)")
            exit(withError: ExitCode(1))
        }
        Terminal.complain(message(for: error).isEmpty ? "\(error)" : "error: \(message(for: error))")
        Terminal.complain("see: vxseal --help")
        exit(withError: ExitCode(2))
    }
}

/// A command that ends with a text on stderr and an exit code.
struct CommandFailure: Error {
    static let badConfiguration: Int32 = 78

    let text: String
    let code: Int32

    init(_ text: String, code: Int32 = 1) {
        self.text = text
        self.code = code
    }
}
