import Foundation

/// Small files that their owner alone may read.
enum SecretFile {
    /// - Parameter name: how the configuration calls the file.
    /// - Throws: `EtcdError.settings`, which says how to mend it.
    static func read(_ path: String, name: String) throws(EtcdError) -> Data {
        var status = stat()
        guard unsafe stat(path, &status) == 0, let data = FileManager.default.contents(atPath: path) else {
            throw .settings("\(name) \(path) cannot be read; see that it exists and that this user owns it")
        }
        guard status.st_mode & S_IFMT == S_IFREG, data.count <= 65536 else {
            throw .settings("\(name) \(path) is no file of a secret")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw .settings("\(name) \(path) can be read by others; mend it with: chmod 600 \(path)")
        }
        return data
    }

    /// A password: the file's text without the end of its line.
    static func password(_ path: String) throws(EtcdError) -> String {
        guard let text = String(data: try read(path, name: "passwordFile"), encoding: .utf8) else {
            throw .settings("passwordFile \(path) is no UTF-8 text")
        }
        let line = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)[0]
        return String(line.last == "\r" ? line.dropLast() : line)
    }
}
