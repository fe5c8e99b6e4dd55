import Foundation
import Logging
import Testing

@testable import VXDaemon

@Suite struct DaemonLogTests {
    private static func line(_ message: String, _ fields: [String: String]) -> LogLine {
        LogLine(level: .warning, message: message, fields: fields, at: Date(timeIntervalSince1970: 1_700_000_000.25))
    }

    @Test("a line as JSON is one line, whatever is in it")
    func json() throws {
        let text = Self.line("two\n\"lines\" /\u{1}", ["peer": "näme\n", "publicKey": "a+/="]).json
        #expect(!text.contains("\n"))
        let object = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(Set(object.keys) == ["time", "level", "message", "fields"])
        #expect(object["time"] as? String == "2023-11-14T22:13:20.250Z")
        #expect(object["level"] as? String == "warning")
        #expect(object["message"] as? String == "two\n\"lines\" /\u{1}")
        #expect(object["fields"] as? [String: String] == ["peer": "näme\n", "publicKey": "a+/="])
    }

    @Test("a line for the journal, byte by byte; a value of two lines has its length before it")
    func journal() {
        let datagram = Self.line("hello", ["publicKey": "k=", "error": "a\nb"]).journal
        let head = Array("MESSAGE\n".utf8)
        let message = Array("hello: error=a\nb publicKey=k=".utf8)
        let rest = "\nPRIORITY=4\nSYSLOG_IDENTIFIER=vxseal\nVXSEAL_ERROR\n"
        let value: [UInt8] = [3, 0, 0, 0, 0, 0, 0, 0] + Array("a\nb\nVXSEAL_PUBLIC_KEY=k=\n".utf8)
        let length: [UInt8] = [UInt8(message.count), 0, 0, 0, 0, 0, 0, 0]
        #expect(datagram == head + length + message + Array(rest.utf8) + value)
    }

    @Test("field names of the journal")
    func names() {
        #expect(LogLine.journalName(of: "ipsec-mb") == "VXSEAL_IPSEC_MB")
        #expect(LogLine.journalName(of: "changedTo") == "VXSEAL_CHANGED_TO")
        #expect(LogLine.journalName(of: "ä=\n") == "VXSEAL____")
        #expect(LogLine.journalName(of: String(repeating: "x", count: 99)).count == 64)
    }

    @Test("an event's fields come before the logger's, and an error is one of them")
    func handler() {
        let lines = Lines()
        var logger = Logger(label: "test") { _ in LineLogHandler { lines.add($0) } }
        logger[metadataKey: "node"] = "a"
        logger[metadataKey: "peer"] = "b"
        logger.notice("x", metadata: ["peer": "c", "list": ["1", "2"]])
        logger.debug("not at this level")
        #expect(lines.all.map(\.message) == ["x"])
        #expect(lines.all.map(\.level) == [.notice])
        #expect(lines.all.first?.fields["peer"] == "c" && lines.all.first?.fields["node"] == "a")
    }

    @Test("every field that the sources log is in Documentation/logs.md")
    func documented() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("Documentation/logs.md"), encoding: .utf8)
        let sources = root.appendingPathComponent("Sources/VXDaemon")
        var found: Set<String> = []
        for file in try FileManager.default.contentsOfDirectory(at: sources, includingPropertiesForKeys: nil)
        where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /metadata(?:: |: Logger\.Metadata = | = )\[([^\]]*)\]/) {
                found.formUnion(match.1.matches(of: /"([A-Za-z -]+)": "/).map { String($0.1) })
            }
        }
        #expect(found.contains("publicKey") && found.count > 8)
        for name in found { #expect(page.contains("| `\(name)` |"), "\(name) is not in Documentation/logs.md") }
    }

    private final class Lines: @unchecked Sendable {
        private let lock = NSLock()
        private var lines: [LogLine] = []

        var all: [LogLine] { lock.withLock { lines } }

        func add(_ line: LogLine) { lock.withLock { lines.append(line) } }
    }
}
