import CVXLinux
import Glibc

/// Files that a process may use from now on, and no others (landlock(7)).
public struct Landlock: Sendable {
    /// What may be done to a file, or to all that is beneath a directory (linux/landlock.h).
    public struct Access: OptionSet, Sendable {
        /// LANDLOCK_ACCESS_FS_ bits.
        public let rawValue: UInt64

        /// From bits.
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        static let writeFile = Access(rawValue: 1 << 1)
        static let readFile = Access(rawValue: 1 << 2)
        static let readDirectory = Access(rawValue: 1 << 3)
        static let removeFile = Access(rawValue: 1 << 5)
        static let makeFile = Access(rawValue: 1 << 8)
        static let makeSocket = Access(rawValue: 1 << 9)
        static let truncate = Access(rawValue: 1 << 14)
        static let deviceControl = Access(rawValue: 1 << 15)

        /// Files are read, directories listed.
        public static let read: Access = [.readFile, .readDirectory]
        /// Files are read, written, made, renamed within their directory and removed.
        public static let change: Access = [.read, .writeFile, .makeFile, .removeFile, .truncate]
        /// A listening socket is made and removed.
        public static let listen: Access = [.readDirectory, .makeSocket, .removeFile]
        /// A device is opened, read, written and controlled.
        public static let device: Access = [.readFile, .writeFile, .deviceControl]

        /// What has a meaning for a file, rather than for what is beneath a directory.
        fileprivate static let ofFiles = Access(rawValue: 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15)
    }

    /// One path and what may be done there. A path that does not exist allows nothing.
    public struct Rule: Sendable {
        let path: String
        let access: Access

        /// From its parts.
        public init(_ path: String, _ access: Access) {
            self.path = path
            self.access = access
        }
    }

    /// The kernel's version, from 1; nil for a kernel that does not have landlock, or has it switched off.
    static var abi: Int? {
        let abi = Int(vx_landlock_abi())
        return abi > 0 ? abi : nil
    }

    /// Every right that this version of the kernel knows, and this file: what is handled and in no rule is refused.
    private static func handled(_ abi: Int) -> UInt64 {
        var bits = UInt64(1) << 13 - 1
        if abi >= 2 { bits |= 1 << 13 }
        if abi >= 3 { bits |= 1 << 14 }
        if abi >= 5 { bits |= 1 << 15 }
        return bits
    }

    /// Takes every other access to files from the calling thread and those that it starts, and, where the kernel knows how
    /// (version 6), signals to processes outside. Needs no_new_privs or CAP_SYS_ADMIN.
    static func restrict(_ rules: [Rule], abi: Int) throws(SystemCallError) {
        let handled = handled(abi)
        let words = abi < 4 ? 1 : abi < 6 ? 2 : 3
        let signals: UInt64 = abi >= 6 ? 1 << 1 : 0
        let number = vx_landlock_create(handled, signals, words * MemoryLayout<UInt64>.size)
        if number < 0 { throw .last("landlock_create_ruleset", "version \(abi)") }
        let ruleset = FileDescriptor(owning: number)
        for rule in rules {
            let place = open(rule.path, CInt(VX_O_PATH) | O_CLOEXEC)
            if place < 0 { continue }
            let file = FileDescriptor(owning: place)
            var status = stat()
            if fstat(file.rawValue, &status) < 0 { throw .last("fstat", rule.path) }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            let rights = (isDirectory ? rule.access : rule.access.intersection(.ofFiles)).rawValue & handled
            if vx_landlock_allow(ruleset.rawValue, file.rawValue, rights) < 0 {
                throw .last("landlock_add_rule", rule.path)
            }
        }
        if vx_landlock_restrict(ruleset.rawValue) < 0 { throw .last("landlock_restrict_self", "this process") }
    }
}
