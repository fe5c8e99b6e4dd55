import Foundation
import Logging
import VXConfig
import VXControl
import VXControlSocket
import VXCrypto
import VXLinux
import VXWire

/// The agent's state: what the directory says, and how far the packet process and the kernel follow it.
actor Overlay {
    /// What does not change while the agent runs.
    struct Basis: Sendable {
        let configuration: AgentConfiguration
        let network: FlannelNetworkConfiguration
        /// Of net-conf.json.
        let networkText: String
        let seal: SealPolicy
        let device: String
        let own: OwnLease
        let memory: AgentMemory
        /// What the packet process reads.
        let file: String
    }

    private let basis: Basis
    private let directory: any PeerDirectory
    private let routes: KernelRoutes
    private let logger: Logger
    private var process: PacketProcess?
    private var table: PeerTable
    private var underlay: Underlay
    private var keys: NodeKeys
    private(set) var lease: Lease

    private var isReachable = false
    private var problem: String? = "it was not asked yet"
    private var since = Clocks.bootTime()
    private var repairs: UInt64 = 0
    /// What is wrong on this node, by what it is about.
    private var faults: [String: String] = [:]
    private var written: String?
    /// What the kernel was last brought to.
    private var followed: OverlayPlan?
    private var kept: AgentMemory.Overlay?
    private var keptPins: [String: PeerTable.Pin]
    private var leases: [String: Lease] = [:]
    private var refusals: [String: PeerRefusal] = [:]

    init(
        _ basis: Basis,
        directory: any PeerDirectory,
        lease: Lease,
        underlay: Underlay,
        keys: NodeKeys,
        trust: TrustPolicy,
        remembered: [Lease],
        logger: Logger
    ) throws {
        self.basis = basis
        self.directory = directory
        self.lease = lease
        self.underlay = underlay
        self.keys = keys
        self.logger = logger
        keptPins = trust == .directory ? [:] : try basis.memory.pins()
        routes = KernelRoutes(
            device: basis.device,
            refused: basis.seal == .off
                ? [] : [basis.network.pool.v4, basis.network.pool.v6].compactMap { $0?.network }
        )
        table = PeerTable(
            own: .init(node: basis.configuration.node.node, lease: lease, publicKeys: keys.all),
            network: basis.network,
            seal: basis.seal,
            trust: trust,
            pins: keptPins
        )
        for other in remembered { leases[other.id] = other }
        table.handle(.snapshot(remembered))
    }

    /// What net-conf.json says.
    var network: FlannelNetworkConfiguration { basis.network }

    // MARK: - News

    /// Takes the directory's news.
    /// - Returns: whether there may be something to do.
    func take(_ event: DirectoryEvent) -> Bool {
        switch event {
        case .snapshot(let all):
            leases = Dictionary(all.map { ($0.id, $0) }) { $1 }
            setReachable(nil)
        case .updated(let lease): leases[lease.id] = lease
        case .removed(let id): leases[id] = nil
        case .unreadable: break
        case .unreachable(let why):
            logger.warning("the directory cannot be asked; what it said goes on to hold", metadata: ["why": "\(why)"])
            setReachable(why)
            return false
        case .reachable:
            logger.notice("the directory answers again")
            setReachable(nil)
            return false
        case .lost(let why):
            logger.error("this node's lease is lost, and asked for again", metadata: ["why": "\(why)"])
            return false
        }
        table.handle(event)
        report()
        return true
    }

    private func setReachable(_ problem: String?) {
        if isReachable != (problem == nil) { since = Clocks.bootTime() }
        isReachable = problem == nil
        self.problem = problem
    }

    /// A line for each entry that is refused for another reason than before.
    private func report() {
        for (id, refusal) in table.refusals where refusals[id] != refusal {
            let level: Logger.Level = refusal.isSuspicious ? .warning : .info
            logger.log(
                level: level,
                "an entry of the directory is no peer",
                metadata: ["id": "\(id)", "why": "\(refusal)"]
            )
        }
        refusals = table.refusals
    }

    /// The own lease is another now, or is to be published again.
    func adopt(_ new: Lease) async {
        lease = basis.own.complete(
            new,
            underlay: underlay,
            keys: keys,
            earlier: lease.record,
            now: UInt64(max(0, Date.now.timeIntervalSince1970 * 1000))
        )
        table.own.lease = lease
        table.own.publicKeys = keys.all
        // What claims ours, or does not any more, is found by looking at all again.
        table.replace(trust: table.trust, pins: table.pins)
        writeSubnetFile()
        do {
            try await directory.publish(lease)
            faults["publish"] = nil
        } catch {
            fault("publish", "this node's lease cannot be published: \(error)")
        }
    }

    /// Looks whether key files or the underlay have changed.
    /// - Returns: whether the lease was published anew.
    func lookAround() async -> Bool {
        var isChanged = false
        if let found = NodeKeys(keyFile: basis.configuration.node.privateKeyFile), found != keys {
            logger.notice("this node's keys have changed", metadata: ["publicKey": "\(found.current)"])
            keys = found
            isChanged = true
        }
        let pool = basis.network.pool
        do {
            let found = try Underlay(basis.configuration, wantsV4: pool.v4 != nil, wantsV6: pool.v6 != nil)
            faults["underlay"] = nil
            if found != underlay {
                logger.notice(
                    "the underlay has changed",
                    metadata: ["interface": "\(found.interface)", "mtu": "\(found.mtu)"]
                )
                underlay = found
                isChanged = true
            }
        } catch {
            faults["underlay"] = "\(error)"
        }
        if isChanged || faults["publish"] != nil { await adopt(lease) }
        return isChanged
    }

    // MARK: - Following

    /// The device's MTU in bytes.
    private var mtu: Int {
        let room = (basis.network.backend.mtu ?? underlay.mtu) - planBasis.overhead
        return max(576, min(room, 9000))
    }

    private var planBasis: OverlayPlan.Basis {
        OverlayPlan.Basis(
            flannel: basis.network,
            seal: basis.seal,
            device: basis.device,
            lease: lease,
            links: underlay.links
        )
    }

    private var plan: OverlayPlan { OverlayPlan(planBasis, mtu: mtu, peers: table.peers.values) }

    /// The packet process that is to follow from now on.
    func lead(_ process: PacketProcess) { self.process = process }

    /// Writes what the packet process reads, where that is another.
    /// - Returns: whether it is.
    @discardableResult
    func writeConfiguration() throws -> Bool {
        var configuration = basis.configuration.node
        let plan = plan
        configuration.networks = [plan.network]
        configuration.peers = plan.peers
        if basis.seal != .require {
            let port = basis.network.backend.port
            configuration.plaintextListen = [Endpoint(address: .v4(IPv4Address(0)), port: port)]
            if underlay.publicIPv6 != nil {
                configuration.plaintextListen.append(Endpoint(address: .v6(IPv6Address(high: 0, low: 0)), port: port))
            }
        }
        let text = configuration.yaml
        guard text != written else { return false }
        try DurableFile.replace(basis.file, with: Array(text.utf8), mode: 0o600)
        written = text
        return true
    }

    /// Brings the packet process and the kernel to what the directory says.
    func follow() async {
        do {
            if try writeConfiguration() {
                do {
                    try await process?.reload()
                    faults["reload"] = nil
                } catch {
                    // What it refuses is offered again with the next change.
                    written = nil
                    fault("reload", "the packet process refuses its configuration: \(error)")
                }
            }
        } catch {
            fault("reload", "\(basis.file) cannot be written: \(error)")
        }
        await followKernel()
        remember()
    }

    /// Routes and neighbours. Where the plan is the one before, what differs was changed by others.
    /// - Returns: the overlay device's interface index.
    @discardableResult
    func followKernel() async -> Int? {
        let plan = plan
        let outcome = routes.apply(plan, underlay: underlay.interface)
        let isRepair = followed.map { $0.routes == plan.routes && $0.neighbors == plan.neighbors } ?? false
        if outcome.problems.isEmpty { followed = plan }
        if isRepair, outcome.changes > 0, outcome.problems.isEmpty {
            repairs += UInt64(outcome.changes)
            logger.notice("routes or neighbours were changed and set again", metadata: ["count": "\(outcome.changes)"])
        }
        fault("routes", outcome.problems.first.map { "\(outcome.problems.count) routes or neighbours: \($0)" })
        return outcome.index
    }

    /// Sets what is wrong with one thing; nil for nothing. Only what is new is logged.
    func fault(_ about: String, _ text: String?) {
        if let text, faults[about] != text { logger.error("\(text)") }
        faults[about] = text
    }

    /// What a start without the directory needs.
    private func remember() {
        let overlay = AgentMemory.Overlay(
            network: basis.networkText,
            own: StoredLease(lease),
            leases: leases.values.filter { $0.id != lease.id }.sorted { $0.id < $1.id }.map { StoredLease($0) }
        )
        do {
            if overlay != kept {
                try basis.memory.keep(overlay)
                kept = overlay
            }
            if table.trust != .directory, table.pins != keptPins {
                try basis.memory.keep(table.pins)
                keptPins = table.pins
            }
            faults["memory"] = nil
        } catch {
            fault("memory", "what the directory said cannot be kept: \(error)")
        }
    }

    /// Early, from what is known: pods can start while the directory is away.
    func writeSubnetFile() {
        let file = SubnetFile(
            pool: basis.network.pool,
            lease: lease,
            mtu: mtu,
            masquerades: basis.configuration.masquerade
        )
        let path = basis.configuration.subnetFile
        do {
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755]
            )
            if FileManager.default.contents(atPath: path) != Data(file.text.utf8) {
                try DurableFile.replace(path, with: Array(file.text.utf8), mode: 0o644)
            }
            faults["subnetFile"] = nil
        } catch {
            fault("subnetFile", "\(path) cannot be written: \(error)")
        }
    }

    /// Another roster, or edited pins (SIGHUP).
    func replace(trust: TrustPolicy) throws {
        if trust != .directory { keptPins = try basis.memory.pins() }
        table.replace(trust: trust, pins: trust == .directory ? table.pins : keptPins)
        report()
    }

    /// Takes away what the packet process does not take with it.
    func removeRoutes() { routes.remove() }

    // MARK: - Telling

    var reply: AgentReply {
        let now = Clocks.bootTime()
        return AgentReply(
            node: basis.configuration.node.node,
            directory: basis.configuration.directory.name,
            isReachable: isReachable,
            problem: problem,
            sinceSeconds: Double(now.nanoseconds - since.nanoseconds) / 1e9,
            seal: basis.seal.rawValue,
            trust: table.trust.name,
            subnets: lease.subnets.map(\.description),
            addresses: [lease.publicIP?.description, lease.publicIPv6?.description].compactMap(\.self),
            device: basis.device,
            mtu: mtu,
            nodes: table.peers.values.sorted { $0.name < $1.name }.map(AgentNode.init),
            refused: table.refusals.sorted { $0.key < $1.key }.map { id, refusal in
                AgentRefusal(
                    id: id,
                    reason: "\(refusal)",
                    isSuspicious: refusal.isSuspicious,
                    isKept: table.peers[id] != nil
                )
            },
            suspicions: table.suspicions,
            repairs: repairs,
            faults: faults.sorted { $0.key < $1.key }.map(\.value)
        )
    }
}

extension AgentNode {
    fileprivate init(_ peer: OverlayPeer) {
        self.init(
            name: peer.name,
            subnets: peer.subnets.map(\.description),
            addresses: peer.addresses.map(\.description),
            speaks: peer.sealed.map { $0.isStrict ? "sealedOnly" : "sealed" } ?? "plaintext",
            publicKey: peer.sealed?.publicKey.description
        )
    }
}
