import Foundation

/// What is mounted where (proc(5), /proc/mounts).
package struct MountTable {
    private let mounts: [(point: String, type: String)]

    /// Of this process.
    package static var current: MountTable { MountTable(contentsOf: "/proc/mounts") }

    /// Of a file's text; empty when it cannot be read. The kernel gives a page at most for each read, and a size of zero.
    init(contentsOf path: String) {
        var text: [UInt8] = []
        if let file = FileHandle(forReadingAtPath: path) {
            while let part = try? file.read(upToCount: 1 << 16), !part.isEmpty { text += part }
        }
        self.init(String(decoding: text, as: UTF8.self))
    }

    /// From the text: device, mount point, type and more, a line each.
    init(_ text: String) {
        mounts = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            return fields.count > 2 ? (Self.unescaped(fields[1]), String(fields[2])) : nil
        }
    }

    /// The type of the file system that a path is on, or will be once it is made; empty when nobody knows.
    package func fileSystem(of path: String) -> String {
        var best = (point: "", type: "")
        for (point, type) in mounts {
            let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
            // Of two mounts on one point the later one is seen.
            if isAbove, point.utf8.count >= best.point.utf8.count { best = (point, type) }
        }
        return best.type
    }

    /// Spaces, tabs, line ends and backslashes in a name are written as three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(field).utf8
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let code = UInt8(Substring(digits), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
