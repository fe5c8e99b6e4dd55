import ServiceLifecycle
import VXDataPlane
import VXLinux

/// Takes aged entries out of the tables that lanes fill. Lanes look past them and take their places where they need them;
/// this is for what `status` counts, and for shares that aged entries would fill.
struct TableSweep: Service {
    let tables: [NetworkTables]

    func run() async throws {
        while await cancelWhenGracefulShutdown({ (try? await Task.sleep(for: .seconds(30))) != nil }) {
            let now = Clocks.bootTime()
            for table in tables {
                table.forwarding.sweep(now: now)
                table.neighbors?.sweep(now: now)
            }
        }
    }
}
