import ArgumentParser
import Foundation
import VXLinux

/// What the init container of Deploy/kubernetes does: the image has no shell to copy files with.
struct InstallCNI: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install-cni",
        abstract: "Put the CNI plugin and a network's file where the node's container runtime looks for them."
    )

    @Option(help: "The plugin.")
    var plugin = "/usr/bin/vxseal-cni"

    @Option(help: "Where plugins are.")
    var pluginDirectory = "/opt/cni/bin"

    @Option(help: "The network's file; it is installed under its own name.")
    var network: String

    @Option(help: "Where networks' files are.")
    var networkDirectory = "/etc/cni/net.d"

    /// The plugin first: a network is ready when its file is there.
    func run() throws {
        try Self.install(plugin, in: pluginDirectory, mode: 0o755)
        try Self.install(network, in: networkDirectory, mode: 0o644)
    }

    private static func install(_ source: String, in directory: String, mode: UInt32) throws {
        guard let data = FileManager.default.contents(atPath: source) else {
            throw CommandFailure("error: \(source) cannot be read; see that it exists")
        }
        let target = directory + "/" + (source as NSString).lastPathComponent
        // A file that is there already is left alone: pods may be starting by it now.
        if FileManager.default.contents(atPath: target) == data { return }
        do throws(SystemCallError) {
            try DurableFile.replace(target, with: Array(data), mode: mode)
        } catch {
            throw CommandFailure("error: \(error); see that \(directory) exists and can be written")
        }
    }
}
