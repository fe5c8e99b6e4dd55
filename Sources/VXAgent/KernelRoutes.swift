import VXControl
import VXNetlink
import VXWire

/// Brings the kernel's routes and neighbours to what a plan says. Only what differs is touched, so that nothing is flushed when
/// an agent starts, and what others have changed is mended.
struct KernelRoutes: Sendable {
    /// The overlay's device.
    let device: String
    /// The overlay's networks, which never follow the default route; empty where plaintext is what is wanted.
    let refused: [IPPrefix]

    /// What was done.
    struct Outcome: Sendable, Equatable {
        /// Routes and neighbours that were set or removed.
        var changes = 0
        /// What could not be done.
        var problems: [String] = []
        /// The device's interface index; nil without a device.
        var index: Int?
    }

    /// Routes and neighbours to set and to remove.
    struct Difference: Equatable {
        var missingRoutes: [Route] = []
        var spareRoutes: [Route] = []
        var missingNeighbors: [PermanentNeighbor] = []
        var spareNeighbors: [PermanentNeighbor] = []

        /// - Parameters:
        ///   - plan: what there should be.
        ///   - device: the overlay device's interface index.
        ///   - underlay: the underlay interface's, for direct routes.
        ///   - routes: what there is.
        ///   - neighbors: what there is on the device.
        init(
            plan: OverlayPlan,
            device: Int,
            underlay: Int,
            routes: [Route],
            neighbors: [PermanentNeighbor]
        ) {
            let wanted = Set(
                plan.routes.map { route in
                    Route(
                        destination: route.destination,
                        gateway: route.gateway,
                        device: route.isOverlay ? device : underlay,
                        isOnLink: route.isOverlay,
                        origin: route.isOverlay ? .boot : .vxseal
                    )
                }
            )
            let present = Set(routes)
            missingRoutes = wanted.subtracting(present).sorted { "\($0.destination)" < "\($1.destination)" }
            let kept = Set(wanted.map(\.destination))
            // A route that is replaced needs no removal.
            spareRoutes = present.subtracting(wanted).filter {
                ($0.device == device || $0.origin == .vxseal) && !kept.contains($0.destination)
            }
            let stations = Set(plan.neighbors.map { PermanentNeighbor(address: $0.address, mac: $0.mac) })
            missingNeighbors = Array(stations.subtracting(neighbors))
            let addresses = Set(stations.map(\.address))
            spareNeighbors = neighbors.filter { !addresses.contains($0.address) }
        }

        var count: Int { missingRoutes.count + spareRoutes.count + missingNeighbors.count + spareNeighbors.count }
    }

    /// Does it.
    func apply(_ plan: OverlayPlan, underlay interface: String) -> Outcome {
        var outcome = Outcome()
        do {
            let netlink = try NetworkConfigurator()
            // Setting one again would be news to whoever listens, this agent too.
            for network in Set(refused).subtracting(try netlink.refusedNetworks()) { try netlink.refuse(network) }
            guard let link = netlink.link(device) else {
                outcome.problems.append("the device \(device) is not there")
                return outcome
            }
            guard let underlay = netlink.link(interface) else {
                outcome.problems.append("the underlay's interface \(interface) is not there")
                return outcome
            }
            outcome.index = link.index
            let difference = Difference(
                plan: plan,
                device: link.index,
                underlay: underlay.index,
                routes: try netlink.routes(),
                neighbors: try netlink.permanentNeighbors(on: link.index)
            )
            outcome.changes = difference.count
            func attempt(_ body: () throws -> Void) {
                do { try body() } catch { outcome.problems.append("\(error)") }
            }
            // A route leads to a next hop that is known, and away from one that goes.
            for neighbor in difference.missingNeighbors { attempt { try netlink.replace(neighbor, on: link.index) } }
            for route in difference.missingRoutes { attempt { try netlink.replace(route) } }
            for route in difference.spareRoutes { attempt { try netlink.remove(route) } }
            for neighbor in difference.spareNeighbors { attempt { try netlink.remove(neighbor, on: link.index) } }
        } catch {
            outcome.problems.append("\(error)")
        }
        return outcome
    }

    /// Removes what is not on the overlay's device, which goes by itself. The overlay goes on to be refused: pods run on while an
    /// agent is restarted, and what they send to others must not follow the default route then.
    func remove() {
        guard let netlink = try? NetworkConfigurator() else { return }
        for route in (try? netlink.routes()) ?? [] where route.origin == .vxseal { try? netlink.remove(route) }
    }
}
