import Glibc
public import VXWire

/// Who started this process and wants to hear how it fares: systemd, or whoever else speaks the protocol of sd_notify(3), a
/// datagram of `NAME=value` lines to the socket that NOTIFY_SOCKET names.
public struct ServiceSupervisor: Sendable {
    /// What it is told.
    public enum News: Sendable, Equatable {
        /// The service is up, or has ended a reload.
        case ready
        /// A reload begins.
        case reloading(at: Instant)
        /// The service ends.
        case stopping
        /// All is well: to be said before each `watchdog` time is over.
        case alive
        /// A line for people, shown by `systemctl status`.
        case status(String)

        /// The lines of the datagram.
        var text: String {
            switch self {
            case .ready: "READY=1"
            case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(time.nanoseconds / 1000)"
            case .stopping: "STOPPING=1"
            case .alive: "WATCHDOG=1"
            // A line break would begin another assignment.
            case .status(let line): "STATUS=" + line.split(whereSeparator: \.isNewline).joined(separator: " ")
            }
        }
    }

    private let socket: UnixDatagrams?
    /// How long it waits for `News.alive` before it takes this process for hung; nil when it does not wait.
    public let watchdog: Interval?

    /// From the values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3)).
    /// - Parameter process: this process, for which alone WATCHDOG_PID counts.
    public init(socket name: String?, watchdogMicroseconds: String?, watchdogProcess: String?, process: CInt) {
        socket = name.flatMap { UnixDatagrams(to: $0) }
        let isMeant = watchdogProcess.map { $0 == String(process) } ?? true
        let time = watchdogMicroseconds.flatMap { UInt64($0) } ?? 0
        let isAsked = socket != nil && isMeant && time > 0 && time <= UInt64.max / 1000
        watchdog = isAsked ? Interval(nanoseconds: time * 1000) : nil
    }

    /// From the environment.
    public static func current() -> ServiceSupervisor {
        func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        return ServiceSupervisor(
            socket: value("NOTIFY_SOCKET"),
            watchdogMicroseconds: value("WATCHDOG_USEC"),
            watchdogProcess: value("WATCHDOG_PID"),
            process: getpid()
        )
    }

    /// There is one.
    public var isThere: Bool { socket != nil }

    /// Tells it, if it is there, all in one datagram. A supervisor that is gone misses nothing.
    public func tell(_ news: News...) {
        socket?.send(Array(news.map(\.text).joined(separator: "\n").utf8), mayWait: true)
    }
}
