import Foundation
import Logging
import Metrics
import ServiceLifecycle
import UnixSignals
public import VXConfig
import VXControlSocket
import VXCrypto
import VXDataPlane
import VXHandshake
import VXLinux
import VXMetrics
import VXRuntime
import VXWire

/// Where the configuration is read from, again and again, and what it may contain.
public struct ConfigurationSource: Sendable {
    private let loader: ConfigurationLoader
    /// The file.
    let path: String

    /// - Parameters:
    ///   - loader: with what was allowed at start.
    ///   - path: the file.
    public init(loader: ConfigurationLoader, path: String) {
        self.loader = loader
        self.path = path
    }

    func load() throws(ConfigurationProblems) -> NodeConfiguration { try loader.load(path: path) }
}

/// Takes another configuration into use while the node runs, or refuses it whole.
///
/// Everything that can fail comes first and touches nothing that runs: the file, the comparison, tables, new devices. From
/// then on lanes and sessions of what did not change are left alone, and what is new is there before what is old goes.
actor Reloader {
    private let source: ConfigurationSource
    private let roster: RosterBoard
    private let runtime: Runtime
    private let keeper: DeviceKeeper
    /// The key that devices' addresses come from.
    private let addressKey: PublicKey
    private let ledger: RotationLedger
    private let supervisor: ServiceSupervisor
    private let logger: Logger
    /// The reload under way: the next begins when it has ended.
    private var last: Task<ReloadReply, Never>?

    init(
        source: ConfigurationSource,
        roster: RosterBoard,
        runtime: Runtime,
        keeper: DeviceKeeper,
        addressKey: PublicKey,
        ledger: RotationLedger,
        supervisor: ServiceSupervisor,
        logger: Logger
    ) {
        self.source = source
        self.roster = roster
        self.runtime = runtime
        self.keeper = keeper
        self.addressKey = addressKey
        self.ledger = ledger
        self.supervisor = supervisor
        self.logger = logger
    }

    /// Reads the file and takes it into use; one reload after the other.
    func reload() async -> ReloadReply {
        let before = last
        let task = Task {
            _ = await before?.value
            return await self.run()
        }
        last = task
        return await task.value
    }

    private func run() async -> ReloadReply {
        let reply: ReloadReply
        // Only a time after that of its signal tells the supervisor that this reload is the answer to it.
        supervisor.tell(.reloading(at: Clocks.monotonic()))
        defer { supervisor.tell(.ready) }
        do {
            reply = try await take()
        } catch let problems as ConfigurationProblems {
            reply = ReloadReply(refusedBecause: problems.problems.map(\.description), isBadConfiguration: true)
        } catch let refusal as Refusal {
            reply = ReloadReply(refusedBecause: refusal.problems, isBadConfiguration: false)
        } catch {
            reply = ReloadReply(refusedBecause: ["\(error)"], isBadConfiguration: false)
        }
        report(reply)
        return reply
    }

    private func report(_ reply: ReloadReply) {
        let result = reply.isApplied ? "applied" : "refused"
        Counter(label: MetricCatalog.reloads.name, dimensions: [("result", result)]).increment()
        Gauge(label: MetricCatalog.lastReload.name).record(reply.isApplied ? 1 : 0)
        for problem in reply.problems {
            logger.error(
                "the configuration is refused, and the one before stays",
                metadata: ["file": "\(source.path)", "problem": "\(problem)"]
            )
        }
        for warning in reply.warnings { logger.warning("a reload left something undone: \(warning)") }
        guard reply.isApplied else { return }
        let changes = reply.changes.isEmpty ? "nothing changed" : reply.changes.joined(separator: "; ")
        logger.notice("the configuration was reloaded: \(changes)", metadata: ["file": "\(source.path)"])
    }

    /// What a running daemon does not take.
    private struct Refusal: Error { let problems: [String] }

    private func take() async throws -> ReloadReply {
        // A rotation may replace the key file's key between these lines: both are its own.
        let earlier = await runtime.rotationSnapshot()
        let configuration = try source.load()
        let later = await runtime.rotationSnapshot()
        let old = roster.current
        let difference = ConfigurationChange(
            from: old.configuration,
            to: configuration,
            keys: Self.keys(earlier, later)
        )
        try check(difference, configuration, old)
        guard !difference.isEmpty else {
            var roster = old
            roster.configuration = configuration
            self.roster.publish(roster)
            return ReloadReply(changes: [])
        }
        let maker = DeviceMaker(configuration: configuration, addressKey: addressKey)
        let plan = try ReloadPlan(from: old, to: configuration, difference, mtu: maker.mtu(of:))
        let leaving = Self.names(of: plan, in: old)
        let early = plan.appearing.count { $0.network.hasDevice && !leaving.contains($0.network.device) }
        if early > 0 {
            let present = old.configuration.networks.count(where: \.hasDevice)
            try Descriptors.reserve(networks: present + early, lanes: old.counters.count)
        }
        var devices = NewDevices(lanes: old.counters.count)
        let late = try make(plan, maker, leaving: leaving, into: &devices)
        let warnings = await apply(plan, old: old, maker: maker, devices: devices, late: late)
        return ReloadReply(changes: difference.lines, warnings: warnings)
    }

    private static func keys(_ earlier: RotationSnapshot, _ later: RotationSnapshot) -> ConfigurationChange.Keys {
        var keys = ConfigurationChange.Keys(
            own: [earlier, later].flatMap { [$0.publicKey] + ($0.rotation.map { [$0.oldKey, $0.newKey] } ?? []) }
        )
        for peer in later.peers {
            if peer.key != peer.configuredKey { keys.current[peer.configuredKey] = peer.key }
            keys.others[peer.configuredKey] = peer.retiredKeys + [peer.pendingKey].compactMap(\.self)
        }
        return keys
    }

    private func check(
        _ difference: ConfigurationChange,
        _ configuration: NodeConfiguration,
        _ old: Roster
    ) throws(Refusal) {
        var problems = difference.restarts.map {
            "\($0) differs from what the daemon started with; restart it to change that, or put the old value back"
        }
        problems += difference.conflicts
        if configuration.hasPlaintext, !old.hasPlaintextPorts {
            problems.append(
                "networks: the first network that is not sealed needs the ports of plaintextListen, which are opened at "
                    + "start; restart the daemon"
            )
        }
        if !problems.isEmpty { throw Refusal(problems: problems.map { "\(source.path): \($0)" }) }
    }

    // MARK: - Devices

    private static func names(of plan: ReloadPlan, in old: Roster) -> Set<String> {
        Set(plan.released.compactMap { old.networks[$0]?.configuration }.filter(\.hasDevice).map(\.device))
    }

    /// Makes the devices of new networks.
    /// - Returns: the places of those whose names are still taken by devices that go.
    private func make(
        _ plan: ReloadPlan,
        _ maker: DeviceMaker,
        leaving: Set<String>,
        into devices: inout NewDevices
    ) throws -> Set<Int> {
        var late: Set<Int> = []
        for (place, network) in plan.appearing {
            try maker.checkBridge(of: network, leaving: leaving)
            if network.hasDevice, leaving.contains(network.device) {
                late.insert(place)
                continue
            }
            var queues = OwnedArray<TAPDevice>()
            _ = try maker.make(network, lanes: plan.roster.counters.count, queues: &queues)
            devices.add(place, queues)
        }
        return late
    }

    // MARK: - The steps

    /// - Returns: what could not be done.
    private func apply(
        _ plan: ReloadPlan,
        old: Roster,
        maker: DeviceMaker,
        devices: consuming NewDevices,
        late: Set<Int>
    ) async -> [String] {
        var warnings = await keeper.carryOut(released: plan.released)
        for index in plan.arriving {
            runtime.board.add(index, endpoint: plan.roster[index]?.configuration.endpoint)
        }
        for index in plan.changed {
            guard let peer = plan.roster[index]?.configuration, peer.sealed == nil else { continue }
            runtime.board.move(index, to: peer.endpoint)
        }
        roster.publish(plan.roster)
        for (new, former) in plan.successions { new.adopt(former) }
        let leaving = await runtime.apply(plan.change, devices: devices)
        // What lanes have learned until they passed on.
        for (new, former) in plan.successions { new.adopt(former) }
        await Self.close(leaving)
        for index in plan.leaving {
            runtime.board.remove(index)
            ledger.forget(index)
            for case let network? in plan.roster.networks { network.groups?.forget(index) }
        }
        for index in plan.rebound {
            for case let network? in plan.roster.networks where network.tables.contents.members.contains(index) {
                network.tables.neighbors?.flush(peer: index)
            }
        }
        var missing: Set<Int> = []
        for (place, network) in plan.appearing where late.contains(place) {
            do {
                var queues = OwnedArray<TAPDevice>()
                _ = try maker.make(network, lanes: plan.roster.counters.count, queues: &queues)
                runtime.replaceDevice(of: place, by: queues, generation: 0)
            } catch {
                missing.insert(place)
                warnings.append("device \(network.device): \(error); it is tried again")
            }
        }
        let taken = plan.appearing.map {
            DeviceOrder.Taken(place: $0.place, network: $0.network, isMissing: missing.contains($0.place))
        }
        let configuration = plan.roster.configuration
        warnings += await keeper.carryOut(taken: plan.adjusted + taken, configuration: configuration)
        DeviceMaker(configuration: old.configuration, addressKey: addressKey).removeBridges(
            except: Set(configuration.networks.compactMap(\.bridge))
        )
        return warnings
    }
}

extension Reloader {
    /// The kernel waits for other processors before a device is gone, some ten milliseconds for each.
    private static func close(_ devices: FormerDevices) async {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                devices.close()
                continuation.resume()
            }
        }
    }
}

/// SIGHUP is `vxseal reload`.
struct HangupReload: Service {
    let reloader: Reloader

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            _ = await reloader.reload()
        }
    }
}
