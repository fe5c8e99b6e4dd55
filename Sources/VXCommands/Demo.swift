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
        let scene = stage.scene
        let signals = onEndBySignal { _ in
            scene.takeDown()
            Terminal.say("\ninterrupted; everything is taken down")
            Foundation.exit(130)
        }
        defer {
            for source in signals { source.cancel() }
            stage.end()
        }
        try await stage.play()
    }

    /// Runs the demonstration again where nothing of the host's network is in reach.
    private func enterNamespaces() throws {
        guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
            let mend =
                errno == EACCES
                ? "run as root, or let everybody open it, as udev does: chmod 666 /dev/net/tun"
                : "load the module: modprobe tun"
            throw CommandFailure("error: /dev/net/tun cannot be opened; \(mend)")
        }
        let binary =
            ProcessInfo.processInfo.arguments[0].contains("/")
            ? URL(fileURLWithPath: ProcessInfo.processInfo.arguments[0]).path : "/proc/self/exe"
        let shell = try DemoShell(logFile: nil)
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
        // Foundation gives children a process group of their own, so that Ctrl-C reaches this one alone.
        let inner = process.processIdentifier
        let signals = onEndBySignal { _ in kill(inner, SIGTERM) }
        process.waitUntilExit()
        for source in signals { source.cancel() }
        if process.terminationStatus != 0 { throw ExitCode(process.terminationStatus == 130 ? 130 : 1) }
    }
}
