import Glibc

/// Files that are whole or not there, also after a crash.
public enum DurableFile {
    /// Replaces a file: writes beside it, fsync, rename, fsync of the directory.
    /// - Throws: the call that failed; the old file is then untouched.
    public static func replace(_ path: String, with bytes: [UInt8], mode: UInt32) throws(SystemCallError) {
        let temporary = path + ".new"
        unlink(temporary)
        try create(temporary, bytes: bytes, mode: mode)
        if rename(temporary, path) < 0 {
            let error = SystemCallError.last("rename", "\(temporary) to \(path)")
            unlink(temporary)
            throw error
        }
        try synchronizeDirectory(of: path)
    }

    /// Makes a file that must not exist yet; nothing half-written stays behind.
    public static func createExclusively(_ path: String, bytes: [UInt8], mode: UInt32) throws(SystemCallError) {
        try create(path, bytes: bytes, mode: mode)
        try synchronizeDirectory(of: path)
    }

    /// Puts a whole file in another's place, in the same directory.
    public static func move(_ path: String, to target: String) throws(SystemCallError) {
        if rename(path, target) < 0 { throw .last("rename", "\(path) to \(target)") }
        try synchronizeDirectory(of: target)
    }

    private static func create(_ path: String, bytes: [UInt8], mode: UInt32) throws(SystemCallError) {
        let number = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        if number < 0 { throw .last("open", path) }
        let file = FileDescriptor(owning: number)
        var error: SystemCallError?
        var offset = 0
        while offset < bytes.count, error == nil {
            let written = bytes.withUnsafeBytes { buffer in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[offset...])
                return retryingInterrupted { write(number, rest.baseAddress, rest.count) }
            }
            if written < 0 { error = .last("write", path) } else { offset += written }
        }
        if error == nil, fsync(file.rawValue) < 0 { error = .last("fsync", path) }
        if let error {
            unlink(path)
            throw error
        }
    }

    /// Brings what was last made, renamed or removed in a file's directory to disk.
    public static func synchronizeDirectory(of path: String) throws(SystemCallError) {
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let number = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if number < 0 { throw .last("open", directory) }
        let handle = FileDescriptor(owning: number)
        if fsync(handle.rawValue) < 0 { throw .last("fsync", directory) }
    }
}
