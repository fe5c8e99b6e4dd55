import Foundation
import Logging
import ServiceLifecycle
import VXConfig
import VXLinux
import VXNetlink
import VXRuntime
import VXWire

/// Keeps the devices as the configuration wants them, whatever somebody else does to them while the node runs.
///
/// - A device that is removed is made again, with its addresses and bridge; the lanes, which notice it first, get their queues
///   of the new one.
/// - Its MAC address is set back: neighbours and static entries on other nodes know it.
/// - A bridge that went and comes back gets its port again. A port that somebody took out of a bridge stays out.
/// - A sealed network's device leaves a bridge for as long as that also holds a plaintext one.
///
/// All of it happens on one thread, which sleeps until a lane or the kernel (RTNLGRP_LINK) has something to say.
final class DeviceKeeper: Service, @unchecked Sendable {
    private var maker: DeviceMaker
    private let lanes: Int
    private let runtime: Runtime
    private let losses: Mailbox<DeviceLoss>
    private let board: DeviceBoard
    private let logger: Logger
    private let orders: Mailbox<DeviceOrder>

    // The thread's own.
    private let monitor: LinkMonitor
    private let descriptor: FileDescriptor
    private let stopping: WakeUp
    private let events: EventLoop
    /// By place; nil where no network is.
    private var networks: [NetworkConfiguration?]
    private var states: [State]
    /// Interface indices of devices, bridges and ports whose changes matter.
    private var watched: Set<Int> = []
    private var said = LogInterval<String>()

    private struct State {
        var isLost = false
        /// The bridge that it was put into, by interface index.
        var bridge: Int?
        /// This node made that bridge.
        var isOwnBridge = false
        /// The bridge that it left because of a plaintext port.
        var apart: Int?
        /// The MAC address was set back so often.
        var corrections = 0
    }

    private static let retryMilliseconds = 1000
    /// Setting a MAC address back more often would be a fight with somebody.
    private static let mostCorrections = 10

    private enum Token: UInt64 {
        case losses, links, orders, stop
    }

    /// Puts the devices, which exist by now, into their bridges.
    init(
        maker: DeviceMaker,
        lanes: Int,
        runtime: Runtime,
        losses: Mailbox<DeviceLoss>,
        board: DeviceBoard,
        logger: Logger
    ) throws {
        self.maker = maker
        self.lanes = lanes
        self.runtime = runtime
        self.losses = losses
        self.board = board
        self.logger = logger
        networks = maker.configuration.networks
        orders = try Mailbox()
        states = networks.map { _ in State() }
        // Before the bridges are joined: nothing may happen unseen in between.
        monitor = try LinkMonitor()
        descriptor = FileDescriptor(owning: monitor.duplicateDescriptor())
        stopping = try WakeUp()
        events = try EventLoop()
        try events.add(losses.wakeUp.descriptor, token: Token.losses.rawValue)
        try events.add(descriptor, token: Token.links.rawValue)
        try events.add(orders.wakeUp.descriptor, token: Token.orders.rawValue)
        try events.add(stopping.descriptor, token: Token.stop.rawValue)
        for place in networks.indices { try joinBridge(place, mayMake: true) }
    }

    @discardableResult
    private func joinBridge(_ place: Int, mayMake: Bool) throws -> Bool {
        guard let network = networks[place], let bridge = try maker.join(network, mayMake: mayMake) else {
            return false
        }
        states[place].bridge = bridge.index
        states[place].isOwnBridge = bridge.alias == maker.alias
        return true
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            await withCheckedContinuation { continuation in
                // The thread blocks; it waits on one of its own rather than on the concurrency pool.
                Thread.detachNewThread {
                    ThreadName.set("vxseal-devices")
                    self.watch()
                    continuation.resume()
                }
            }
        } onGracefulShutdown: {
            self.stopping.signal()
        }
    }

    private func watch() {
        var ready = EventLoop.ReadyList(capacity: 4)
        look()
        while true {
            // A lost device that could not be made is tried again.
            let isWaiting = states.contains { $0.isLost }
            events.wait(into: &ready, timeoutMilliseconds: isWaiting ? Self.retryMilliseconds : -1)
            var hasChanged = false
            for place in 0..<ready.count {
                switch Token(rawValue: ready[place]) {
                case .losses: readLosses()
                case .links: if readChanges() { hasChanged = true }
                case .orders:
                    orders.wakeUp.clear()
                    for order in orders.takeAll() { obey(order) }
                    hasChanged = true
                case .stop, nil:
                    for order in orders.close() { order.answer([]) }
                    return
                }
            }
            for place in networks.indices where states[place].isLost {
                if makeAgain(place) { hasChanged = true }
            }
            if hasChanged { look() }
        }
    }

    // MARK: - Reloads

    /// Carries an order out, soon.
    /// - Returns: what could not be done, for people; it is tried again where that makes sense.
    func carryOut(
        released: [Int] = [],
        taken: [DeviceOrder.Taken] = [],
        configuration: NodeConfiguration? = nil
    ) async -> [String] {
        await withCheckedContinuation { continuation in
            let order = DeviceOrder(released: released, taken: taken, configuration: configuration) {
                continuation.resume(returning: $0)
            }
            if !orders.post(order) { order.answer([]) }
        }
    }

    private func obey(_ order: DeviceOrder) {
        // What the lanes noticed before is about the networks that were.
        readLosses()
        if let configuration = order.configuration { maker.configuration = configuration }
        for place in order.released {
            networks[place] = nil
            states[place] = State()
            board.update(place) { $0 = DeviceBoard.Entry() }
        }
        var failures: [String] = []
        for taken in order.taken {
            while networks.count <= taken.place {
                networks.append(nil)
                states.append(State())
            }
            let former = networks[taken.place]
            networks[taken.place] = taken.network
            do {
                if let former {
                    try adjust(taken, former: former)
                } else {
                    setLost(taken.place, taken.isMissing)
                    if !taken.isMissing { try joinBridge(taken.place, mayMake: true) }
                }
            } catch {
                failures.append("device \(taken.network.device): \(error)")
            }
        }
        order.answer(failures)
    }

    /// Changes what can be changed of a device that goes on.
    private func adjust(_ taken: DeviceOrder.Taken, former: NetworkConfiguration) throws {
        // One that is lost is made as it is to be.
        guard !states[taken.place].isLost, taken.network.hasDevice else { return }
        let network = taken.network
        let netlink = try NetworkConfigurator()
        if let mtu = taken.mtu { try netlink.change(network.device, mtu: mtu) }
        for address in network.addresses where !former.addresses.contains(address) {
            try netlink.add(address, to: network.device)
        }
        for address in former.addresses where !network.addresses.contains(address) {
            try netlink.remove(address, from: network.device)
        }
        // Whether it is kept out of its bridge is judged anew.
        if network.allowMixedBridge, states[taken.place].apart != nil {
            states[taken.place].apart = nil
            states[taken.place].bridge = nil
            board.update(taken.place) { $0.isKeptApart = false }
        }
    }

    // MARK: - Losses

    private func readLosses() {
        losses.wakeUp.clear()
        for loss in losses.takeAll() where loss.generation == board[loss.network].restarts {
            // A lane may have noticed what a reload removed.
            guard loss.network < networks.count, let network = networks[loss.network] else { continue }
            // Every lane tells of it; the first counts.
            if !states[loss.network].isLost {
                logger.warning(
                    "somebody removed a device; it is made again",
                    metadata: ["device": "\(network.device)"]
                )
            }
            setLost(loss.network, true)
        }
    }

    private func setLost(_ place: Int, _ isLost: Bool) {
        states[place].isLost = isLost
        board.update(place) { $0.isLost = isLost }
    }

    /// Whether a change concerns this node.
    private func readChanges() -> Bool {
        guard let changes = monitor.read() else { return true }
        let names = Set(networks.compactMap { $0?.device } + networks.compactMap { $0?.bridge })
        return changes.contains { change in
            watched.contains(change.index) || watched.contains(change.master) || names.contains(change.name)
        }
    }

    private func makeAgain(_ place: Int) -> Bool {
        guard let network = networks[place], network.hasDevice else { return false }
        do {
            var queues = OwnedArray<TAPDevice>()
            _ = try maker.make(network, lanes: lanes, queues: &queues)
            let generation = board[place].restarts + 1
            board.update(place) { $0.restarts = generation }
            runtime.replaceDevice(of: place, by: queues, generation: generation)
            setLost(place, false)
            states[place].bridge = nil
            logger.notice("a device was made again", metadata: ["device": "\(network.device)"])
            return true
        } catch {
            complain("a device cannot be made again", network.device, error)
            return false
        }
    }

    private func complain(_ what: String, _ device: String, _ error: any Error) {
        guard said.allows(what + device, now: Clocks.bootTime()) else { return }
        logger.error("\(what)", metadata: ["device": "\(device)", "error": "\(error)"])
    }

    // MARK: - What others change

    /// Compares the links with what they should be.
    private func look() {
        do {
            let netlink = try NetworkConfigurator()
            let links = try netlink.links()
            let byName = Dictionary(links.map { ($0.name, $0) }) { first, _ in first }
            watched = []
            for place in networks.indices where !states[place].isLost {
                look(at: place, links: links, byName: byName, netlink: netlink)
            }
            watched.subtract([0])
            // A port that leaves a bridge no longer names it.
            for link in links where watched.contains(link.master) { watched.insert(link.index) }
        } catch {
            complain("the devices cannot be looked at", "all", error)
        }
    }

    private func look(
        at place: Int,
        links: [Link],
        byName: [String: Link],
        netlink: borrowing NetworkConfigurator
    ) {
        guard let network = networks[place] else { return }
        // Its lanes will tell, if it is gone.
        guard let device = byName[network.device], device.kind == "tun" else { return }
        watched.formUnion([device.index, device.master])
        board.update(place) { $0.isDown = !device.isUp }
        correctAddress(of: device, network, place: place, netlink: netlink)
        if network.mode == .sealed, !network.allowMixedBridge {
            keepApart(device, place: place, links: links, netlink: netlink)
        }
        guard network.bridge != nil, states[place].apart == nil else { return }
        join(device, place: place, byName: byName)
    }

    private func correctAddress(
        of device: Link,
        _ network: NetworkConfiguration,
        place: Int,
        netlink: borrowing NetworkConfigurator
    ) {
        let wanted = maker.address(of: network)
        guard let found = device.address, found != wanted, states[place].corrections < Self.mostCorrections else {
            return
        }
        states[place].corrections += 1
        do {
            try netlink.change(device.name, address: wanted)
            logger.warning(
                "somebody changed a device's MAC address; it was set back",
                metadata: ["device": "\(device.name)", "address": "\(wanted)", "changedTo": "\(found)"]
            )
        } catch {
            complain("a device's MAC address cannot be set back", device.name, error)
        }
    }

    /// Fails closed: while a bridge also holds a plaintext network the sealed one is not in it.
    private func keepApart(_ device: Link, place: Int, links: [Link], netlink: borrowing NetworkConfigurator) {
        let bridge = states[place].apart ?? device.master
        guard bridge != 0 else { return }
        watched.insert(bridge)
        let ports = BridgeMixing.plaintextPorts(of: bridge, links: links, plaintextDevices: maker.plaintextDevices)
        do {
            if let port = ports.first, device.master == bridge {
                try netlink.leaveBridge(device.name)
                states[place].apart = bridge
                board.update(place) { $0.isKeptApart = true }
                logger.error(
                    """
                    a bridge holds a sealed and a plaintext network: the sealed one left it, and comes back when the other is \
                    gone; to allow both, write allowMixedBridge: true
                    """,
                    metadata: ["device": "\(device.name)", "plaintext": "\(port)"]
                )
            } else if ports.isEmpty, states[place].apart != nil {
                states[place].apart = nil
                states[place].bridge = nil
                board.update(place) { $0.isKeptApart = false }
            }
        } catch {
            complain("a sealed network's device cannot be taken out of a bridge", device.name, error)
        }
    }

    private func join(_ device: Link, place: Int, byName: [String: Link]) {
        guard let wanted = networks[place]?.bridge else { return }
        let bridge = byName[wanted]
        if let bridge { watched.insert(bridge.index) }
        if let bridge, device.master == bridge.index {
            states[place].bridge = bridge.index
        } else if device.master == 0, bridge == nil || states[place].bridge != bridge?.index {
            do {
                // A bridge that somebody else made is theirs to make again.
                guard try joinBridge(place, mayMake: states[place].isOwnBridge) else { return }
                logger.notice(
                    "a device is in its bridge again",
                    metadata: ["device": "\(device.name)", "bridge": "\(wanted)"]
                )
            } catch {
                complain("a device cannot be put into its bridge", device.name, error)
            }
        } else if said.allows("outside" + device.name, now: Clocks.bootTime()) {
            logger.warning(
                "somebody took a device out of its bridge; put it back by: ip link set \(device.name) master \(wanted)",
                metadata: ["device": "\(device.name)"]
            )
        }
    }
}

/// What a reload asks of the keeper.
struct DeviceOrder: Sendable {
    /// A network that is new or has changed.
    struct Taken: Sendable {
        let place: Int
        let network: NetworkConfiguration
        /// The device's new MTU, where that has changed.
        var mtu: Int?
        /// The device could not be made yet.
        var isMissing = false
    }

    /// Places whose networks go: their devices are no longer looked after.
    let released: [Int]
    let taken: [Taken]
    /// What the node runs with from now on; nil where that is yet to come.
    let configuration: NodeConfiguration?
    /// Takes what could not be done.
    let answer: @Sendable ([String]) -> Void
}
