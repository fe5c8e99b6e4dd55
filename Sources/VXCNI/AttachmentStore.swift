import Glibc
import VXLinux

/// What ADD did, kept for DEL and GC: files of mode 0600 below the data directory, whole or not there.
struct AttachmentStore {
    /// One record.
    struct Record: Equatable {
        let attachment: Attachment
        /// What the address plugin was given.
        let request: [String: JSON]
    }

    private let directory: String

    /// Of a network; both names are fit for file names.
    init(dataDirectory: String, network: String) {
        directory = "\(dataDirectory)/attachments/\(network)"
    }

    /// A colon is in neither name.
    private func path(_ attachment: Attachment) -> String {
        "\(directory)/\(attachment.containerID):\(attachment.interface)"
    }

    /// Writes a record, on disk when it returns.
    func save(_ record: Record) throws(SystemCallError) {
        try Self.makeDirectory(directory)
        let json = JSON.object([
            "containerID": .text(record.attachment.containerID), "ifName": .text(record.attachment.interface),
            "request": .object(record.request),
        ])
        try DurableFile.replace(path(record.attachment), with: json.bytes, mode: 0o600)
    }

    /// The record of an attachment; nil where there is none, or none that can be read: DEL then does without.
    func record(of attachment: Attachment) -> Record? {
        guard let file = try? FileDescriptor(reading: path(attachment)),
            let bytes = try? file.readToEnd(limit: Plugin.inputLimit * 2, name: directory),
            let json = JSON(parsing: bytes), let request = json["request"]?.object
        else { return nil }
        return Record(attachment: attachment, request: request)
    }

    /// Removes a record; one that is not there is no error.
    func remove(_ attachment: Attachment) throws(SystemCallError) {
        let path = path(attachment)
        if unlink(path) < 0, errno != ENOENT, errno != ENOTDIR {
            throw SystemCallError(call: "unlink", code: errno, context: path)
        }
    }

    /// Every attachment that there is a file of.
    func attachments() throws(SystemCallError) -> [Attachment] {
        guard let entries = opendir(directory) else {
            if errno == ENOENT { return [] }
            throw SystemCallError(call: "opendir", code: errno, context: directory)
        }
        defer { closedir(entries) }
        var found: [Attachment] = []
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let parts = name.split(separator: ":")
            guard parts.count == 2,
                let attachment = try? Attachment(containerID: String(parts[0]), interface: String(parts[1]))
            else { continue }
            found.append(attachment)
        }
        return found
    }

    /// Makes a directory and those above it: what is in the last is root's alone.
    private static func makeDirectory(_ path: String) throws(SystemCallError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw SystemCallError(call: "mkdir", code: errno, context: path)
        }
        try makeDirectory(String(path[..<slash]))
        if mkdir(path, 0o700) < 0, errno != EEXIST {
            throw SystemCallError(call: "mkdir", code: errno, context: path)
        }
    }
}
