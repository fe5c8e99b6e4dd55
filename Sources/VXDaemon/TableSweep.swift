import ServiceLifecycle
import VXDataPlane
import VXLinux

/// Takes aged entries out of the tables that lanes fill. Lanes look past them and take their places where they need them;
/// this is for what `status` counts, and for shares that aged entries would fill.
struct TableSweep: Service {
    let roster: RosterBoard

    func run() async throws {
        while await pause(.seconds(30)) {
            let now = Clocks.bootTime()
            for case let network? in roster.current.networks {
                network.tables.forwarding.sweep(now: now)
                network.tables.neighbors?.sweep(now: now)
                network.groups?.sweep(now: now)
            }
        }
    }
}
