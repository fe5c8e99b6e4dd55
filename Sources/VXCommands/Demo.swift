import ArgumentParser
import Foundation

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show two sealed nodes and a kernel VXLAN node in namespaces of their own on this machine."
    )

    @Flag(help: .hidden)
    var inside = false

    func run() async throws {
        guard inside else { return try enterNamespaces() }
        let stage = try DemoStage()
        defer { stage.end() }
        try await stage.play()
    }

    /// Runs the demonstration again where nothing of the host's network is in reach.
    private func enterNamespaces() throws {
        let binary =
            ProcessInfo.processInfo.arguments[0].contains("/")
            ? URL(fileURLWithPath: ProcessInfo.processInfo.arguments[0]).path : "/proc/self/exe"
        let shell = try DemoShell(logFile: "/dev/null")
        let candidates = getuid() == 0 ? ["-nm", "-Urnm"] : ["-Urnm"]
        guard let flags = candidates.first(where: { shell.run("unshare \($0) mount -t tmpfs t /run").isGood }) else {
            throw CommandFailure(
                "error: this machine permits no network namespaces; run as root, or allow them: "
                    + "sysctl kernel.unprivileged_userns_clone=1"
            )
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        // Foundation waits for children through a socket on the loopback interface, which is down in a new namespace.
        let command = "ip link set lo up && exec \"$0\" demo --inside"
        process.arguments = ["unshare", flags, "sh", "-c", command, binary]
        try process.run()
        // Ctrl-C reaches the whole group: the inner one cleans up, and this one tells how it ended.
        signal(SIGINT, SIG_IGN)
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw ExitCode(1) }
    }
}
