import Foundation
import VXConfig
import VXLinux

/// The files that a running daemon uses: its own, those that a reload reads again, and what the system's libraries read to look
/// names up.
///
/// A rule holds for a file or directory as it is when the daemon starts. Files are replaced by renaming others over them, by
/// editors and by this daemon's own rotations, so that the rule for such a file is that of its directory.
struct ReachableFiles {
    let rules: [Landlock.Rule]

    /// - Parameters:
    ///   - configuration: what the node starts with.
    ///   - file: where that was read from.
    init(_ configuration: NodeConfiguration, file: String) {
        var rules = Self.system
        rules.append(.init(configuration.stateDirectory, .change))
        // A rotation of the identity writes the next key beside the present one, and renames it.
        rules.append(.init(Self.directory(of: configuration.privateKeyFile), .change))
        rules.append(.init(Self.directory(of: configuration.adminSocket), .listen))
        let keys = configuration.peers.compactMap(\.sealed?.presharedKeyFile)
        for path in Set([file, configuration.privateKeyFile] + keys) {
            rules.append(.init(Self.directory(of: path), .read))
            // Where a symbolic link leads, as of this moment.
            let target = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
            rules.append(.init(Self.directory(of: target), .read))
        }
        self.rules = rules
    }

    private static func directory(of path: String) -> String {
        let directory = (path as NSString).deletingLastPathComponent
        return directory.isEmpty ? "." : directory
    }

    private static let system: [Landlock.Rule] =
        [.init("/dev/net/tun", .device), .init("/dev/null", .device)]
        + [
            "/dev/urandom", "/dev/random",
            // libdispatch reads each of its threads' /proc/TID/stat, and ends the process when it cannot; no rule fits these but one
            // for all of /proc. What is secret there of another process is kept away all the same: landlock forbids to look into
            // processes outside.
            "/proc",
            "/sys/class/net", "/sys/devices",
            // Look-ups of names: resolver(5), nsswitch.conf(5), and the libraries that the latter names. /etc/resolv.conf mostly
            // leads to one of the directories, where it may be replaced.
            "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
            "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/nscd",
            "/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib",
            "/etc/localtime", "/usr/share/zoneinfo",
        ].map { .init($0, .read) }
}
