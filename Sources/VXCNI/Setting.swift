import Glibc
import VXLinux

/// A setting of the network stack in /proc/sys/net, of the namespace that the thread is in.
enum Setting {
    /// Sets it, unless it is so already: /proc/sys may be read-only where others have prepared it.
    static func set(_ name: String, to value: Int) throws(SystemCallError) {
        let path = "/proc/sys/net/" + name
        let text = "\(value)\n"
        if let file = try? FileDescriptor(reading: path), let old = try? file.readToEnd(limit: 64, name: path),
            old == Array(text.utf8)
        {
            return
        }
        let number = open(path, O_WRONLY | O_CLOEXEC)
        if number < 0 { throw SystemCallError(call: "open", code: errno, context: path) }
        let file = FileDescriptor(owning: number)
        if write(file.rawValue, text, text.utf8.count) < 0 {
            throw SystemCallError(call: "write", code: errno, context: path)
        }
    }

    /// Sets one that a kernel without IPv6 does not have.
    static func setIfThere(_ name: String, to value: Int) throws(SystemCallError) {
        do { try set(name, to: value) } catch { if error.code != ENOENT { throw error } }
    }
}
