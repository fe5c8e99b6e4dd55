import Foundation
import Testing

@testable import VXConfig

/// On which file system a state directory is.
@Suite struct MountTableTests {
    @Test("the mount nearest to the path counts, and of two on one point the later")
    func nearest() {
        let table = MountTable(
            """
            /dev/vda1 / ext4 rw 0 0
            tmpfs /run tmpfs rw 0 0
            /dev/vdb /var/lib xfs rw 0 0
            tmpfs /var/lib tmpfs rw 0 0
            none /a\\040b\\134c ramfs rw 0 0
            short
            """
        )
        #expect(table.fileSystem(of: "/etc/vxseal") == "ext4")
        #expect(table.fileSystem(of: "/run") == "tmpfs" && table.fileSystem(of: "/run/vxseal") == "tmpfs")
        #expect(table.fileSystem(of: "/running") == "ext4")
        #expect(table.fileSystem(of: "/var/lib/vxseal") == "tmpfs")
        #expect(table.fileSystem(of: #"/a b\c/d"#) == "ramfs")
        #expect(MountTable("").fileSystem(of: "/") == "")
    }

    @Test("a table that comes in many reads is read to its end")
    func long() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-\(UUID().uuidString)").path
        try #require(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        // As a host with hundreds of containers has it; the line that matters is the last. A pipe holds 64 KiB.
        let lines = ["/dev/vda1 / ext4 rw 0 0"] + (0..<4000).map { "overlay /var/lib/pods/\($0) overlay rw 0 0" }
        let text = lines.joined(separator: "\n") + "\ntmpfs /var/lib/vxseal tmpfs rw 0 0\n"
        Thread.detachNewThread {
            guard let pipe = FileHandle(forWritingAtPath: path) else { return }
            // Four kilobytes at a time, as the kernel gives them.
            var rest = Data(text.utf8)
            while !rest.isEmpty {
                pipe.write(rest.prefix(4096))
                rest = Data(rest.dropFirst(4096))
            }
        }
        let table = MountTable(contentsOf: path)
        #expect(table.fileSystem(of: "/var/lib/pods/3999/x") == "overlay")
        #expect(table.fileSystem(of: "/var/lib/vxseal") == "tmpfs")
    }

    @Test("this process's own table")
    func own() {
        #expect(MountTable.current.fileSystem(of: "/proc/self") == "proc")
    }
}
