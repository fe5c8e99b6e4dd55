import Foundation
public import Logging
import Metrics
import ServiceLifecycle
import Synchronization
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

/// A node: puts devices, sockets, threads and the admin API together, and takes them apart again.
public struct Gateway {
    private let configuration: NodeConfiguration
    private let source: ConfigurationSource
    private let logger: Logger

    /// How many lanes this node runs.
    private let lanes: Int

    /// Most lanes of `lanes: auto`: more do not pay for a few peers, and each costs sockets and memory.
    private static let mostAutomaticLanes = 4

    /// From a validated configuration.
    /// - Parameters:
    ///   - configuration: what the node starts with.
    ///   - source: where that was read from, for reloads.
    ///   - logger: the log.
    public init(configuration: NodeConfiguration, source: ConfigurationSource, logger: Logger) {
        self.configuration = configuration
        self.source = source
        self.logger = logger
        lanes = configuration.lanes ?? min(ProcessInfo.processInfo.activeProcessorCount, Self.mostAutomaticLanes)
    }

    /// Opens all that the node needs, and gives up the rights to open more. To be called while the process has one thread, for
    /// only that one's rights are given up, and inherited by the others.
    /// - Returns: what runs the node until SIGTERM or SIGINT, and reloads the configuration at SIGHUP; then says goodbye to the
    ///   peers and removes what was made.
    /// - Throws: when it cannot start; nothing is left behind then.
    public func prepare() throws -> @Sendable () async throws -> Void {
        ProcessHardening.apply()
        let registry = MetricsRegistry(MetricCatalog.recorded)
        MetricsSystem.bootstrap(registry)
        try Descriptors.reserve(networks: configuration.networks.count(where: \.hasDevice), lanes: lanes)
        // What this process makes is its user's alone: directories, then files and the admin socket, from the moment that
        // they exist.
        umask(0o077)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        try prepareDirectories()
        umask(0o177)
        try removeDeadSocket()

        let addressKey = try DeviceKeyFile(stateDirectory: configuration.stateDirectory).key(
            for: configuration.identity.publicKey
        )
        let devices = DeviceMaker(configuration: configuration, addressKey: addressKey)
        let losses = try Mailbox<DeviceLoss>()
        let deviceBoard = DeviceBoard(networks: configuration.networks.count)
        let mtus = configuration.networks.map(devices.mtu(of:))
        let roster = RosterBoard(try Roster(starting: configuration, lanes: lanes, mtus: mtus))
        let ledger = RotationLedger()
        let cipher = try chooseCipher()
        let (runtime, isSteered) = try makeRuntime(
            roster: roster,
            devices: devices,
            cipher: cipher,
            ledger: ledger,
            losses: losses
        )
        // Bridges outlive this process: whatever it made goes with it, also when the start fails from here on.
        let removeBridges: @Sendable () -> Void = {
            DeviceMaker(configuration: roster.current.configuration, addressKey: addressKey).removeBridges()
        }
        var isPrepared = false
        defer { if !isPrepared { removeBridges() } }
        let keeper = try DeviceKeeper(
            maker: devices,
            lanes: lanes,
            runtime: runtime,
            losses: losses,
            board: deviceBoard,
            logger: logger
        )
        let supervisor = ServiceSupervisor.current()
        let reloader = Reloader(
            source: source,
            roster: roster,
            runtime: runtime,
            keeper: keeper,
            addressKey: addressKey,
            ledger: ledger,
            supervisor: supervisor,
            logger: logger
        )
        let rates = TrafficRates(roster: roster)
        let confinement = confine()
        let backend = Backend(
            sandbox: confinement,
            roster: roster,
            runtime: runtime,
            reloader: reloader,
            devices: deviceBoard,
            listen: configuration.sealedEndpoints.map(\.configured),
            steering: isSteered ? .ebpf : .kernel,
            ledger: ledger,
            cipher: cipher,
            rates: rates,
            captures: CaptureBoard(logger: logger)
        )
        let http = HTTPThread()
        let server = AdminServer(
            path: configuration.adminSocket,
            backend: backend,
            loop: http.loop,
            logger: logger
        )
        let health = NodeHealth(roster: roster, devices: deviceBoard, runtime: runtime)
        let metrics = http.metricsServices(
            at: configuration.metrics,
            MetricsSource(backend: backend, health: health, registry: registry),
            logger: logger
        )
        logger.info(
            "vxseal is up",
            metadata: ["node": "\(configuration.node)", "publicKey": "\(configuration.identity.publicKey)"]
        )
        let resolver = EndpointResolver(
            roster: roster,
            runtime: runtime,
            logger: logger
        )
        let reports = ServiceReports(supervisor: supervisor, roster: roster, runtime: runtime)
        let group = ServiceGroup(
            configuration: .init(
                services: metrics + [
                    .init(service: server, failureTerminationBehavior: .gracefullyShutdownGroup),
                    .init(service: health, successTerminationBehavior: .ignore),
                    .init(service: resolver, successTerminationBehavior: .ignore),
                    .init(
                        service: PeerWatch(roster: roster, board: runtime.board, logger: logger),
                        successTerminationBehavior: .ignore
                    ),
                    .init(
                        service: DropWatch(runtime: runtime, logger: logger),
                        successTerminationBehavior: .ignore
                    ),
                    .init(service: keeper, successTerminationBehavior: .ignore),
                    .init(service: rates, successTerminationBehavior: .ignore),
                    .init(service: TableSweep(roster: roster), successTerminationBehavior: .ignore),
                    .init(service: reports, successTerminationBehavior: .ignore),
                    .init(
                        service: Watchdog(supervisor: supervisor, runtime: runtime, reports: reports, logger: logger),
                        successTerminationBehavior: .ignore
                    ),
                    .init(service: HangupReload(reloader: reloader), successTerminationBehavior: .ignore),
                    .init(
                        service: RuntimeService(runtime: runtime),
                        successTerminationBehavior: .gracefullyShutdownGroup
                    ),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        isPrepared = true
        return { [configuration, logger] in
            defer { removeBridges() }
            defer { unlink(configuration.adminSocket) }
            try await group.run()
            DeviceMaker(configuration: roster.current.configuration, addressKey: addressKey).removeDevices()
            logger.info("vxseal has ended", metadata: ["node": "\(configuration.node)"])
        }
    }

    /// Leaves the process the rights that a running daemon needs. A kernel that does not know how is no reason not to run.
    private func confine() -> Sandbox.Report {
        guard configuration.isSandboxed else {
            logger.warning("the sandbox is off, by `sandbox: off` of the configuration")
            return .unconfined()
        }
        let report = Sandbox.enter(files: ReachableFiles(configuration, file: source.path).rules)
        for problem in report.problems {
            logger.warning("the sandbox has a gap", metadata: ["problem": "\(problem)"])
        }
        return report
    }

    private func prepareDirectories() throws {
        let socketDirectory = (configuration.adminSocket as NSString).deletingLastPathComponent
        for (path, field) in [(configuration.stateDirectory, "stateDirectory"), (socketDirectory, "adminSocket")] {
            do {
                try FileManager.default.createDirectory(
                    atPath: path,
                    withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700]
                )
            } catch {
                throw StartError("the directory \(path) of \(field) cannot be made; make it, owned by this user")
            }
        }
    }

    /// A socket that a crashed daemon left behind goes; one that answers means that this node runs already.
    private func removeDeadSocket() throws {
        let path = configuration.adminSocket
        guard FileManager.default.fileExists(atPath: path) else { return }
        if UnixSocket.answers(path) {
            throw StartError("a daemon answers on \(path) already; stop it first, or choose another adminSocket")
        }
        unlink(path)
    }

    private func makeRuntime(
        roster: RosterBoard,
        devices: DeviceMaker,
        cipher: BulkCipher.Provider,
        ledger: RotationLedger,
        losses: Mailbox<DeviceLoss>
    ) throws -> (runtime: Runtime, isSteered: Bool) {
        let opener = PortOpener(configuration: configuration)
        var handshakeSockets = OwnedArray<UDPSocket>()
        var ports = OwnedArray<LanePorts>()
        for _ in 0..<lanes { ports.append(try LanePorts(events: EventLoop())) }
        try opener.openSealed(handshake: &handshakeSockets, lanes: &ports)
        try opener.openPlaintext(lanes: &ports)
        let statePath = configuration.stateDirectory + "/timestamp"
        let timestamps = try TimestampReservation(
            path: statePath,
            contents: FileManager.default.contents(atPath: statePath).map { [UInt8]($0) },
            clock: Clocks.label()
        )
        let store = StateFile(stateDirectory: configuration.stateDirectory, keyFile: configuration.privateKeyFile)
        let loaded = try store.load(identity: configuration.identity)
        for warning in loaded.warnings { logger.warning("\(warning)") }
        var isSteered = true
        for network in configuration.networks where try !devices.make(network, lanes: &ports) { isSteered = false }
        if !isSteered {
            logger.notice(
                "the kernel does not let this process steer flows to lanes (bpf(2)); it steers by its own rule"
            )
        }
        let found = opener.probe(ports)
        let start = roster.current
        let runtime = try Runtime(
            machine: HandshakeMachine(
                identity: configuration.identity,
                successor: loaded.successor,
                name: configuration.node,
                lanes: UInt8(lanes),
                features: found.packets.features,
                peers: start.orderedPeers.compactMap { start.handshakePeer($0.index) },
                state: loaded.state,
                lastTimestamp: timestamps.floor
            ),
            handshakeSockets: handshakeSockets,
            topologies: topologies(of: start, offloads: found.packets, cipher: cipher),
            ports: ports,
            services: services(timestamps: timestamps, store: store, ledger: ledger, roster: roster),
            losses: losses,
            board: StatusBoard(
                endpoints: Dictionary(
                    uniqueKeysWithValues: start.orderedPeers.map { ($0.index, $0.configuration.endpoint) }
                )
            ),
            offloads: found.board
        )
        return (runtime, isSteered)
    }

    private func services(
        timestamps: TimestampReservation,
        store: StateFile,
        ledger: RotationLedger,
        roster: RosterBoard
    ) -> HandshakeServices {
        let logger = logger
        let log = RotationLog(logger: logger, ledger: ledger)
        let complaints = Mutex(LogInterval<String>())
        return HandshakeServices(
            timestamps: timestamps,
            store: store,
            notify: { peer, notice in log.note(notice, peer: peer, roster: roster.current) },
            complain: { what, why in
                guard complaints.withLock({ $0.allows(what + why, now: Clocks.bootTime()) }) else { return }
                logger.error("\(what)", metadata: ["error": "\(why)"])
            }
        )
    }

    /// The configured provider, or the fastest, and a line for the log on what was found.
    private func chooseCipher() throws -> BulkCipher.Provider {
        let selection = try CipherSelection(configuration.cipher, clock: Clocks.monotonic)
        var metadata: Logger.Metadata = ["cipher": "\(selection.provider)"]
        for cost in selection.costs {
            metadata["\(cost.provider)"] = "\(cost.perDatagram.nanoseconds) ns to seal and open a datagram"
        }
        for refusal in selection.refusals {
            metadata["\(refusal.provider)"] = "not used: \(refusal.what); \(refusal.mend)"
        }
        logger.info("cipher chosen", metadata: metadata)
        return selection.provider
    }

    /// What each lane is told: the same, but for the peers' counters, which are a lane's own.
    private func topologies(
        of roster: Roster,
        offloads: PacketOffloads,
        cipher: BulkCipher.Provider
    ) -> [LaneTopology] {
        let networks = roster.networks.compactMap(\.self).map(roster.definition(of:))
        return (0..<lanes).map { lane in
            LaneTopology(
                threads: lanes,
                networks: networks,
                peers: roster.peers.enumerated().compactMap { place, peer in
                    peer.map { roster.definition(of: $0, index: PeerIndex(UInt16(place)), lane: lane) }
                },
                peerCapacity: roster.peerCapacity,
                offloads: offloads,
                cipher: cipher,
                busyPoll: configuration.busyPoll
            )
        }
    }
}

/// The runtime's threads as a service: they end when the group shuts down.
private struct RuntimeService: Service {
    let runtime: Runtime

    func run() async throws {
        await withGracefulShutdownHandler {
            await withCheckedContinuation { continuation in
                // The threads block; they wait on one of their own rather than on the concurrency pool.
                Thread.detachNewThread {
                    runtime.run()
                    continuation.resume()
                }
            }
        } onGracefulShutdown: {
            runtime.stop()
        }
    }
}
