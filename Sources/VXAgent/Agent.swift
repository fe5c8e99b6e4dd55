import Foundation
public import Logging
import ServiceLifecycle
import UnixSignals
public import VXConfig
import VXControl
import VXControlSocket
import VXDaemon
import VXEtcd
import VXKubernetes
import VXLinux
import VXNetlink
import VXWire

/// `vxseal agent`: takes part in an overlay whose nodes find each other in a directory.
///
/// It is two processes. This one speaks with the directory, decides who is a peer, writes the packet process's configuration and
/// the kernel's routes. The other is an ordinary `vxseal up`, which knows nothing of directories. Either may end without the
/// other's work being lost.
public struct Agent: Sendable {
    /// Why an agent cannot start, or go on: what, where, and how to mend it.
    public struct Failure: Error, CustomStringConvertible {
        /// The text.
        public let description: String
    }

    private let configuration: AgentConfiguration
    private let words: [String]
    private let logger: Logger

    /// Seconds that the directory has, before a node that knows enough starts without it.
    private static let directoryPatience = Duration.seconds(5)

    /// - Parameters:
    ///   - configuration: what the node starts with.
    ///   - words: further arguments of the packet process.
    ///   - logger: the log.
    public init(configuration: AgentConfiguration, words: [String], logger: Logger) {
        self.configuration = configuration
        self.words = words
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT; then ends the packet process and removes what was made. The lease stays this node's.
    public func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let node = configuration.node
        let runDirectory = (node.adminSocket as NSString).deletingLastPathComponent
        for path in [node.stateDirectory, runDirectory] {
            do {
                try FileManager.default.createDirectory(
                    atPath: path,
                    withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700]
                )
            } catch {
                throw Failure(description: "the directory \(path) cannot be made; make it, owned by this user")
            }
        }
        let socket = Self.socket(beside: node.adminSocket)
        if UnixSocket.listener(on: socket) != nil {
            throw Failure(
                description: "an agent answers on \(socket) already; stop it first, or choose another adminSocket"
            )
        }
        unlink(socket)
        let http = HTTPThread()
        let service = OverlayService(agent: self)
        let server = AgentServer(path: socket, loop: http.loop, logger: logger) { await service.reply() }
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: server, failureTerminationBehavior: .gracefullyShutdownGroup),
                    .init(
                        service: service,
                        successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup
                    ),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        defer { unlink(socket) }
        try await group.run()
    }

    /// Where the agent of a packet process is asked: not `.sock`, which commands take for a packet process's.
    public static func socket(beside adminSocket: String) -> String {
        (adminSocket.hasSuffix(".sock") ? String(adminSocket.dropLast(".sock".count)) : adminSocket) + ".agent"
    }

    // MARK: - Starting

    /// All that an overlay needs: from the directory, or from what it said before.
    func open() async throws -> (overlay: Overlay, directory: any PeerDirectory, request: LeaseRequest, file: String) {
        let node = configuration.node
        let memory = AgentMemory(stateDirectory: node.stateDirectory)
        let remembered = memory.overlay
        let directory = try makeDirectory()
        let text = try await ask("net-conf.json", else: remembered?.network) {
            try await directory.networkConfiguration()
        }
        let network: FlannelNetworkConfiguration
        do {
            network = try FlannelNetworkConfiguration(parsing: text)
        } catch {
            throw Failure(description: "net-conf.json: \(error)")
        }
        for field in network.unknownFields {
            logger.warning("net-conf.json has a field that nobody reads", metadata: ["field": "\(field)"])
        }
        let isCalico = if case .calico = configuration.directory { true } else { false }
        let seal =
            isCalico
            ? SealPolicy.off
            : Self.policy(
                configured: configuration.seal.flatMap(SealPolicy.init(rawValue:)),
                network: network.backend.seal
            )
        let former = try? remembered?.own.lease(named: node.node)
        let settings = try await ask("settings", else: former.map { _ in NodeSettings() }) {
            try await directory.settings()
        }
        var configuration = configuration
        configuration.publicIP = configuration.publicIP ?? settings.localIP
        configuration.publicIPv6 = configuration.publicIPv6 ?? settings.localIPv6
        let underlay = try Underlay(configuration, wantsV4: network.pool.v4 != nil, wantsV6: network.pool.v6 != nil)
        let own = OwnLease(
            configuration: node,
            network: network,
            seal: seal,
            mac: try node.deviceAddress(vni: network.backend.vni),
            signer: try memory.signingKey(),
            settings: settings
        )
        guard let keys = NodeKeys(keyFile: node.privateKeyFile) else {
            throw Failure(description: "\(node.privateKeyFile) cannot be read")
        }
        let request = LeaseRequest(
            node: node.node,
            pool: network.pool,
            lease: own.request(underlay: underlay),
            earlier: former?.subnets ?? []
        )
        var lease = try await ask("a lease", else: former) { try await directory.acquire(request) }
        if lease.record == nil { lease.record = former?.record }
        let device = configuration.device ?? (isCalico ? "vxlan.calico" : "flannel.\(network.backend.vni)")
        try removeStaleDevice(device, vni: network.backend.vni)
        let file = (node.adminSocket as NSString).deletingPathExtension + ".agent.yaml"
        let overlay = try Overlay(
            Overlay.Basis(
                configuration: configuration,
                network: network,
                networkText: text,
                seal: seal,
                device: device,
                own: own,
                memory: memory,
                file: file
            ),
            directory: directory,
            lease: lease,
            underlay: underlay,
            keys: keys,
            trust: try trust(),
            remembered: (remembered?.leases ?? []).compactMap { try? $0.lease(named: "") },
            logger: logger
        )
        return (overlay, directory, request, file)
    }

    /// The packet process of an overlay.
    func packetProcess(reading file: String, onStart: @escaping @Sendable () async -> Void) throws -> PacketProcess {
        guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw Failure(description: "/proc/self/exe cannot be read; mount /proc")
        }
        return PacketProcess(
            PacketProcess.Order(
                program: program,
                configuration: file,
                socket: configuration.node.adminSocket,
                words: words
            ),
            logger: logger,
            onStart: onStart
        )
    }

    /// Asks the directory until it answers, or for as long as it has where there is an earlier answer.
    private func ask<Answer: Sendable>(
        _ what: String,
        else earlier: Answer?,
        _ body: @escaping @Sendable () async throws -> Answer
    ) async throws -> Answer {
        var backoff = Backoff()
        let deadline = ContinuousClock.now + Self.directoryPatience
        while true {
            let attempt = Task { try await body() }
            let limit = earlier.map { _ in
                Task {
                    try? await Task.sleep(until: deadline)
                    attempt.cancel()
                }
            }
            defer { limit?.cancel() }
            do {
                return try await withTaskCancellationHandler {
                    try await attempt.value
                } onCancel: {
                    attempt.cancel()
                }
            } catch let error as DirectoryError where !error.isTransient {
                throw Failure(description: "the directory has not given \(what): \(error)")
            } catch {
                try Task.checkCancellation()
                if let earlier, ContinuousClock.now >= deadline {
                    logger.warning(
                        "the directory does not answer; starting with what it said before",
                        metadata: ["what": "\(what)", "error": "\(error)"]
                    )
                    return earlier
                }
                logger.warning("the directory is asked again", metadata: ["what": "\(what)", "error": "\(error)"])
                var random = SystemRandomNumberGenerator()
                try await Task.sleep(for: .seconds(backoff.pause(using: &random)))
            }
        }
    }

    private func makeDirectory() throws -> any PeerDirectory {
        let notice: @Sendable (String) -> Void = { [logger] in logger.notice("the directory: \($0)") }
        switch configuration.directory {
        case .file(let folder): return FileDirectory(folder: folder)
        case .etcd(let settings): return try EtcdDirectory(settings, notice: notice)
        case .kubernetes(let settings): return try KubernetesDirectory(settings, notice: notice)
        case .calico(let settings): return try CalicoDirectory(settings, notice: notice)
        }
    }

    /// The stricter of what the file and net-conf.json say; strict where neither does.
    static func policy(configured: SealPolicy?, network: SealPolicy?) -> SealPolicy {
        switch (configured, network) {
        case (let configured?, let network?): max(configured, network)
        case (let policy?, nil), (nil, let policy?): policy
        case (nil, nil): .require
        }
    }

    /// What the configuration says of trust, with the roster as it is now.
    func trust() throws -> TrustPolicy {
        switch configuration.trust {
        case .directory: return .directory
        case .pinned: return .pinned
        case .roster(let file, let key):
            guard let data = FileManager.default.contents(atPath: file) else {
                throw Failure(description: "rosterFile \(file) cannot be read; make it with: vxseal roster sign")
            }
            do {
                return .roster(try SignedRoster(String(decoding: data, as: UTF8.self), key: key))
            } catch {
                throw Failure(description: "rosterFile \(file): \(error)")
            }
        }
    }

    /// flannel leaves its device behind when it ends. It has this overlay's name and VNI, and holds its port.
    private func removeStaleDevice(_ device: String, vni: VNI) throws {
        let netlink = try NetworkConfigurator()
        for name in [device, "flannel-v6.\(vni)"] {
            guard let link = netlink.link(name), link.kind == "vxlan", link.vxlanVNI == vni.rawValue else { continue }
            logger.warning("the kernel's VXLAN device of this overlay is replaced", metadata: ["device": "\(name)"])
            try netlink.remove(name)
        }
    }

    /// The log.
    var log: Logger { logger }

    /// What a node lets through and masquerades.
    func rules(for lease: Lease, network: FlannelNetworkConfiguration) -> OverlayRules {
        OverlayRules(
            rules: MasqueradeRules(
                networks: [network.pool.v4, network.pool.v6].compactMap { $0?.network },
                subnets: lease.subnets,
                masquerades: configuration.masquerade
            )
        )
    }

    /// What is known before the directory has answered.
    var replyBeforeStart: AgentReply {
        AgentReply(
            node: configuration.node.node,
            directory: configuration.directory.name,
            isReachable: false,
            problem: "it has not answered yet",
            sinceSeconds: 0,
            seal: configuration.seal ?? SealPolicy.require.rawValue,
            trust: "",
            subnets: [],
            addresses: [],
            device: configuration.device ?? "",
            mtu: 0,
            nodes: [],
            refused: [],
            suspicions: 0,
            repairs: 0,
            faults: ["the overlay is not up yet"]
        )
    }
}
