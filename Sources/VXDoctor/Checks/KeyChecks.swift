import VXConfig

/// Key files and the state directory: private, ours, and there after a reboot.
enum KeyChecks {
    static func run(_ node: Examination) -> [Finding] {
        let files = [node.configuration.privateKeyFile] + node.peers.compactMap { $0.sealed?.presharedKeyFile }
        return files.flatMap { key($0, node.host) } + state(node.configuration.stateDirectory, node.host)
    }

    private static func key(_ path: String, _ host: Host) -> [Finding] {
        guard let status = host.status(path) else { return [] }
        var findings: [Finding] = []
        if status.mode & 0o077 != 0 {
            findings.append(
                Finding(
                    .error,
                    "keys.mode",
                    .keys,
                    "others than the owner may read \(path) (mode \(String(status.mode, radix: 8)))",
                    why: "who has the key can speak as this node; the daemon refuses it",
                    repair: .mode(path: path, mode: 0o600)
                )
            )
        }
        return findings + owner(path, status, host)
    }

    private static func owner(_ path: String, _ status: Host.FileStatus, _ host: Host) -> [Finding] {
        guard status.owner != host.user, status.owner != 0 else { return [] }
        return [
            Finding(
                .warning,
                "keys.owner",
                .keys,
                "\(path) belongs to user \(status.owner), not to root or this user",
                why: "that user can replace it",
                mend: "chown \(host.user) \(path)"
            )
        ]
    }

    private static func state(_ path: String, _ host: Host) -> [Finding] {
        var findings: [Finding] = []
        let type = host.fileSystem(path)
        if ["tmpfs", "ramfs"].contains(type) {
            findings.append(
                Finding(
                    .warning,
                    "state.volatile",
                    .keys,
                    "the state directory \(path) is in memory (\(type))",
                    why: "a reboot empties it; then peers that remember this node's timestamps and rotations refuse it",
                    mend: "stateDirectory: a directory on disk, such as /var/lib/vxseal"
                )
            )
        }
        guard let status = host.status(path) else { return findings }
        if status.mode & 0o077 != 0 {
            findings.append(
                Finding(
                    .warning,
                    "state.mode",
                    .keys,
                    "others may enter the state directory \(path) (mode \(String(status.mode, radix: 8)))",
                    why: "it holds preshared keys that were agreed on by rotations",
                    repair: .mode(path: path, mode: 0o700)
                )
            )
        }
        return findings + owner(path, status, host)
    }
}
