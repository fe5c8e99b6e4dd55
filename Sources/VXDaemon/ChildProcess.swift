import Foundation

/// A program that is run to its end, by its words and never by a shell.
public struct ChildProcess {
    /// What became of it.
    public struct Outcome: Sendable {
        /// Its exit code.
        public let code: Int32
        /// What it wrote to stdout.
        public let output: String
        /// What it wrote to stderr.
        public let complaint: String
    }

    /// Where programs of the system are: `sudo` and services often have a PATH without the last three.
    private static let directories =
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        + ["/usr/local/sbin", "/usr/sbin", "/sbin"]

    /// Runs it.
    /// - Parameters:
    ///   - program: its name, without a path.
    ///   - words: its arguments.
    ///   - input: what it reads.
    /// - Returns: nil where there is no such program.
    public static func run(_ program: String, _ words: [String], input: String = "") -> Outcome? {
        let paths = directories.map { $0 + "/" + program }
        guard let path = paths.first(where: FileManager.default.isExecutableFile(atPath:)) else { return nil }
        // Files, for two pipes and an input have to be served at once, or somebody waits for ever.
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-\(UUID().uuidString)")
        guard
            (try? FileManager.default.createDirectory(
                at: directory,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700]
            )) != nil
        else { return nil }
        defer { try? FileManager.default.removeItem(at: directory) }
        func file(_ name: String, _ text: String = "") -> URL? {
            let url = directory.appendingPathComponent(name)
            return (try? Data(text.utf8).write(to: url)) == nil ? nil : url
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = words
        guard let input = file("input", input), let output = file("output"), let complaint = file("complaint"),
            let reading = try? FileHandle(forReadingFrom: input),
            let writing = try? FileHandle(forWritingTo: output),
            let complaining = try? FileHandle(forWritingTo: complaint)
        else { return nil }
        process.standardInput = reading
        process.standardOutput = writing
        process.standardError = complaining
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        func text(_ url: URL) -> String {
            (try? Data(contentsOf: url)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        return Outcome(
            code: process.terminationStatus,
            output: text(output),
            complaint: text(complaint).trimmingCharacters(in: .whitespacesAndNewlines)
        )
    }
}
