public import VXLinux
public import VXWire

/// Keeps initiations' timestamps rising over restarts and over a clock that goes back (protocol.md, 2): the state directory
/// holds a label at least as great as any that was used, an hour ahead so that it is written once an hour.
public final class TimestampReservation: @unchecked Sendable {
    private static let ahead: UInt64 = 3600
    private let path: String
    private var reserved: TAI64N
    /// No label of this run may be at or below this.
    public let floor: TAI64N

    /// Reads the last reservation. A file that is missing or cut counts as none: the clock alone is then trusted.
    /// - Parameters:
    ///   - path: the file, made when it is missing.
    ///   - contents: what the file held, if it was there.
    ///   - clock: the clock's label now.
    public init(path: String, contents: [UInt8]?, clock: TAI64N) throws(SystemCallError) {
        self.path = path
        floor = contents.flatMap(Self.decode) ?? TAI64N(seconds: 0, nanoseconds: 0)
        reserved = max(floor, clock).adding(seconds: Self.ahead)
        try DurableFile.replace(path, with: Self.encode(reserved), mode: 0o600)
    }

    /// Makes sure that `label` is below what the file holds. A disk that refuses is no reason to fall silent: the next
    /// restart then trusts the clock.
    func extend(beyond label: TAI64N) {
        guard label.adding(seconds: Self.ahead / 2) > reserved else { return }
        reserved = label.adding(seconds: Self.ahead)
        try? DurableFile.replace(path, with: Self.encode(reserved), mode: 0o600)
    }

    private static func encode(_ label: TAI64N) -> [UInt8] {
        Array("\(label.seconds) \(label.nanoseconds)\n".utf8)
    }

    private static func decode(_ bytes: [UInt8]) -> TAI64N? {
        let parts = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard parts.count == 2, let seconds = UInt64(parts[0]), let nanoseconds = UInt32(parts[1]) else { return nil }
        return TAI64N(seconds: seconds, nanoseconds: nanoseconds)
    }
}
