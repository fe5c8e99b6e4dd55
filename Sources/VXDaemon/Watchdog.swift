import Logging
import ServiceLifecycle
import VXLinux
import VXRuntime
import VXWire

/// Gives the supervisor a sign of life at half its watchdog time, as long as every lane and the handshake thread turn. A
/// thread that hangs holds the signs back, and the supervisor starts the daemon anew.
struct Watchdog: Service {
    let supervisor: ServiceSupervisor
    let runtime: Runtime
    /// What the supervisor shows when all is well again.
    let reports: ServiceReports
    let logger: Logger

    func run() async throws {
        guard let limit = supervisor.watchdog else { return }
        let half = Duration.nanoseconds(Int64(clamping: limit.nanoseconds / 2))
        // Looks often enough that a thread that was late does not make the sign late.
        let look = half / 50
        repeat {
            let before = runtime.turns
            // A lane without traffic sleeps for longer than a watchdog may have time.
            runtime.wakeAll()
            var waited = Duration.zero
            var late = stuck(since: before)
            var isTold = false
            while !late.isEmpty {
                if waited >= half, !isTold {
                    isTold = true
                    complain(of: late)
                }
                guard await pause(look) else { return }
                waited += look
                late = stuck(since: before)
            }
            if isTold {
                logger.notice("every thread turns again")
                supervisor.tell(.status(reports.summary))
            }
            supervisor.tell(.alive)
        } while await pause(half)
    }

    /// The threads that have not turned.
    private func stuck(since before: [UInt64]) -> [String] {
        zip(runtime.threadNames, zip(before, runtime.turns)).filter { $1.0 == $1.1 }.map(\.0)
    }

    private func complain(of late: [String]) {
        let names = late.joined(separator: ", ")
        logger.error(
            "a thread does not turn; the supervisor gets no sign of life until it does",
            metadata: ["threads": "\(names)"]
        )
        supervisor.tell(.status("hangs: \(names)"))
    }
}
