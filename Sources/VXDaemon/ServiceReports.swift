import ServiceLifecycle
import VXConfig
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

/// Tells the supervisor when the node is up, how many of its peers have a session, and that it ends.
struct ServiceReports: Service {
    let supervisor: ServiceSupervisor
    let roster: RosterBoard
    let runtime: Runtime

    /// Between two looks at what it waits for.
    private static let startPause = Duration.milliseconds(10)
    private static let interval = Duration.seconds(1)

    func run() async throws {
        guard supervisor.isThere else { return }
        let socket = roster.current.configuration.adminSocket
        // Up is what a user would call so: every thread has taken up its work, and commands are answered.
        while runtime.turns.contains(0) || !UnixSocket.answers(socket) {
            if await !pause(Self.startPause) { return supervisor.tell(.stopping) }
        }
        var line = summary
        supervisor.tell(.ready, .status(line))
        while await pause(Self.interval) {
            let new = summary
            if new != line { supervisor.tell(.status(new)) }
            line = new
        }
        supervisor.tell(.stopping)
    }

    /// The node in a line.
    var summary: String {
        let roster = roster.current
        let sealed = roster.orderedPeers.filter { $1.sealed != nil }
        let up = sealed.filter { runtime.board[$0.0]?.state == .established }
        return "\(roster.configuration.node): \(up.count) of \(sealed.count) sealed peers established, "
            + "\(roster.configuration.networks.count) networks"
    }
}
