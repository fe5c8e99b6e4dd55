import Foundation
import Logging
import Synchronization
import VXLinux

/// How lines of the log look.
public enum LogFormat: String, CaseIterable, Sendable {
    /// For people: time, level, fields, message.
    case text
    /// For programs: a JSON object a line, as `LogLine` writes it.
    case json
}

/// Where the daemon's log goes.
public enum DaemonLog {
    /// Sets up the process's log, once.
    /// - Parameter format: what standard error gets; nil sends the lines to the journal with their fields, where standard error
    ///   leads there anyway, and is text else.
    public static func start(_ format: LogFormat?) {
        let journal = format == nil && JournalSink.isStandardError ? JournalSink() : nil
        LoggingSystem.bootstrap { label in
            if let journal { return LineLogHandler { journal.write($0) } }
            if format == .json { return LineLogHandler { standardError($0.json) } }
            return StreamLogHandler.standardError(label: label)
        }
    }

    /// Writes a line with as few calls as the kernel lets it; a reader that is gone misses it.
    static func standardError(_ line: String) {
        var rest = Array((line + "\n").utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            if written <= 0 { return }
            rest = rest.dropFirst(written)
        }
    }
}

/// Makes a `LogLine` of each event.
struct LineLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    private let write: @Sendable (LogLine) -> Void

    init(write: @escaping @Sendable (LogLine) -> Void) { self.write = write }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues(\.description)
        if let error = event.error { fields["error"] = "\(error)" }
        write(LogLine(level: event.level, message: event.message.description, fields: fields, at: .now))
    }
}

/// One line of the log. Its keys are an interface: `Documentation/logs.md` has them.
struct LogLine: Sendable {
    let level: Logger.Level
    let message: String
    let fields: [String: String]
    let at: Date

    private struct Object: Encodable {
        let time: String
        let level: String
        let message: String
        let fields: [String: String]
    }

    /// `{"fields":{...},"level":"info","message":"...","time":"2026-01-31T12:00:00.000Z"}`.
    var json: String {
        let time = at.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let object = Object(time: time, level: level.rawValue, message: message, fields: fields)
        // Strings alone, which always can be encoded.
        return (try? encoder.encode(object)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The message with its fields, as one line for people.
    var text: String {
        guard !fields.isEmpty else { return message }
        return message + ": " + fields.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: " ")
    }

    /// The datagram of journald's native protocol (systemd.io, JOURNAL_NATIVE_PROTOCOL): `NAME=value` lines, or for a value of
    /// several lines its name, its length in 8 bytes, little endian, and the value.
    var journal: [UInt8] {
        var datagram: [UInt8] = []
        func add(_ name: String, _ value: String) {
            let bytes = Array(value.utf8)
            datagram += Array(name.utf8)
            if bytes.contains(UInt8(ascii: "\n")) {
                datagram.append(UInt8(ascii: "\n"))
                for shift in stride(from: 0, to: 64, by: 8) {
                    datagram.append(UInt8(truncatingIfNeeded: bytes.count >> shift))
                }
            } else {
                datagram.append(UInt8(ascii: "="))
            }
            datagram += bytes + [UInt8(ascii: "\n")]
        }
        add("MESSAGE", text)
        add("PRIORITY", String(priority))
        add("SYSLOG_IDENTIFIER", "vxseal")
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) { add(Self.journalName(of: key), value) }
        return datagram
    }

    /// syslog(3).
    private var priority: Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    /// `publicKey` is VXSEAL_PUBLIC_KEY: the journal takes capitals, digits and underscores.
    static func journalName(of key: String) -> String {
        var name = "VXSEAL_"
        for character in key {
            if character.isUppercase { name.append("_") }
            name += character.isASCII && (character.isLetter || character.isNumber) ? character.uppercased() : "_"
        }
        return String(name.prefix(64))
    }
}

/// journald's socket.
final class JournalSink: Sendable {
    private let socket: UnixDatagrams
    private let lost = Atomic<Int>(0)

    /// Nil without a socket to send with.
    init?(path: String = "/run/systemd/journal/socket") {
        guard let socket = UnixDatagrams(to: path) else { return nil }
        self.socket = socket
    }

    /// Standard error leads to the journal: systemd names its device and inode in JOURNAL_STREAM (systemd.exec(5)).
    static var isStandardError: Bool {
        guard let name = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] else { return false }
        var status = stat()
        return unsafe fstat(STDERR_FILENO, &status) == 0 && name == "\(status.st_dev):\(status.st_ino)"
    }

    func write(_ line: LogLine) {
        let before = lost.exchange(0, ordering: .relaxed)
        if before > 0 {
            let fields = ["count": String(before)]
            send(LogLine(level: .warning, message: "lines of the log were lost", fields: fields, at: line.at))
        }
        send(line)
    }

    /// A journal that does not read must not hold the handshake thread up.
    private func send(_ line: LogLine) {
        switch socket.send(line.journal, mayWait: false) {
        case 0: break
        case EAGAIN, ENOBUFS: lost.add(1, ordering: .relaxed)
        default: DaemonLog.standardError(line.text)
        }
    }
}
