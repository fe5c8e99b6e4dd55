public import VXCrypto
public import VXWire

/// Which of a directory's leases are peers: pure, fed with events, asked for the result.
///
/// Nothing in a directory is taken for granted. A lease that claims what is another's is refused, and the one that was there
/// first stays; so does what a sealed peer's last good record said, when a later one cannot be believed. One bad entry does not
/// touch the others.
public struct PeerTable: Sendable {
    /// This node.
    public struct Own: Sendable {
        /// Its name.
        public var node: String
        /// Its lease.
        public var lease: Lease
        /// Its identities: in use, and to come.
        public var publicKeys: [PublicKey]

        /// From its parts.
        public init(node: String, lease: Lease, publicKeys: [PublicKey]) {
            self.node = node
            self.lease = lease
            self.publicKeys = publicKeys
        }
    }

    /// What is remembered of a node's name.
    public struct Pin: Sendable, Equatable {
        /// Who signs its records.
        public var signer: SigningKey
        /// The highest sequence seen.
        public var sequence: UInt64
        /// The lease that its last record was beside.
        public var id: String

        /// From its parts.
        public init(signer: SigningKey, sequence: UInt64, id: String) {
            self.signer = signer
            self.sequence = sequence
            self.id = id
        }
    }

    /// This node.
    public var own: Own
    /// Whom records are believed of.
    public private(set) var trust: TrustPolicy
    /// By name. Kept over restarts unless trust is `directory`.
    public private(set) var pins: [String: Pin]
    /// By id.
    public private(set) var peers: [String: OverlayPeer] = [:]
    /// By id. An id may be here and in `peers`: what it said before still holds.
    public private(set) var refusals: [String: PeerRefusal] = [:]
    /// How often an entry was refused for something that no honest directory contains.
    public private(set) var suspicions: UInt64 = 0
    /// Subnets of leases that no node is behind.
    public private(set) var reservations: [String: [IPPrefix]] = [:]

    private let pool: SubnetPool
    private let vni: VNI
    private let seal: SealPolicy
    private var leases: [String: Lease] = [:]
    private var claims = ClaimTable()
    /// Leases that pins were seen with.
    private var pinned: Set<String>

    /// - Parameters:
    ///   - own: this node.
    ///   - network: the overlay.
    ///   - seal: whom this node speaks with.
    ///   - trust: whom records are believed of.
    ///   - pins: what was remembered.
    public init(
        own: Own,
        network: FlannelNetworkConfiguration,
        seal: SealPolicy,
        trust: TrustPolicy,
        pins: [String: Pin] = [:]
    ) {
        self.own = own
        pool = network.pool
        vni = network.backend.vni
        self.seal = seal
        self.trust = trust
        self.pins = pins
        pinned = Set(pins.values.map(\.id))
    }

    /// Takes a directory's news; those about its reachability change nothing here.
    public mutating func handle(_ event: DirectoryEvent) {
        switch event {
        case .snapshot(let all):
            let present = Set(all.map(\.id))
            for id in leases.keys where !present.contains(id) { remove(id) }
            // Those that are peers already come first: nobody takes what is theirs by sorting before them.
            for lease in all.sorted(by: { (peers[$0.id] == nil ? 1 : 0, $0.id) < (peers[$1.id] == nil ? 1 : 0, $1.id) })
            {
                update(lease)
            }
            retry()
        case .updated(let lease):
            update(lease)
            retry()
        case .removed(let id):
            remove(id)
            retry()
        case .unreadable(let id, let why):
            guard id != own.lease.id else { return }
            refuse(id, .unreadable(why))
        case .unreachable, .reachable, .lost: break
        }
    }

    /// Another roster, or pins that were edited; all leases are looked at again.
    public mutating func replace(trust: TrustPolicy, pins: [String: Pin]) {
        self.trust = trust
        self.pins = pins
        pinned = Set(pins.values.map(\.id))
        for lease in leases.values.sorted(by: { $0.id < $1.id }) { update(lease) }
        retry()
    }

    // MARK: - One lease

    private mutating func remove(_ id: String) {
        leases[id] = nil
        refusals[id] = nil
        reservations[id] = nil
        peers[id] = nil
        claims.release(id)
    }

    private mutating func update(_ lease: Lease) {
        guard lease.id != own.lease.id else { return }
        if leases[lease.id] == lease, refusals[lease.id] == nil, peers[lease.id] != nil { return }
        leases[lease.id] = lease
        reservations[lease.id] = nil
        if lease.isReservation, lease.backend == nil, lease.backendV6 == nil {
            drop(lease.id)
            refusals[lease.id] = nil
            reservations[lease.id] = lease.subnets
            return
        }
        do {
            let (peer, pin) = try examine(lease)
            try claims.claim(Claim.all(of: peer), for: lease.id, name: peer.name)
            peers[lease.id] = peer
            refusals[lease.id] = nil
            if let pin {
                pins[peer.name] = pin
                pinned.insert(lease.id)
            }
        } catch {
            refuse(lease.id, error)
        }
    }

    private mutating func drop(_ id: String) {
        peers[id] = nil
        claims.release(id)
    }

    /// What a sealed peer's signature vouched for goes on to hold when something else is said without one.
    private mutating func refuse(_ id: String, _ refusal: PeerRefusal) {
        let isKept = peers[id]?.sealed != nil && refusal.isSuspicious
        if !isKept { drop(id) }
        if refusals.updateValue(refusal, forKey: id) != refusal, refusal.isSuspicious { suspicions += 1 }
    }

    /// What was refused because another had it may be free now.
    private mutating func retry() {
        for (id, refusal) in refusals {
            guard case .taken = refusal, let lease = leases[id] else { continue }
            update(lease)
        }
    }

    // MARK: - Checks

    private func examine(_ lease: Lease) throws(PeerRefusal) -> (OverlayPeer, Pin?) {
        guard lease.backendType == "vxlan" || lease.backendType == "vxseal" else {
            throw .otherBackend(String(lease.backendType.prefix(32)))
        }
        for data in [lease.backend, lease.backendV6].compactMap(\.self) where data.vni != Int(vni.rawValue) {
            throw .otherVNI(data.vni)
        }
        try checkSubnets(lease)
        var peer = OverlayPeer(
            id: lease.id,
            name: "",
            subnet: lease.subnet,
            subnetV6: lease.subnetV6,
            mac: lease.backend?.mac,
            macV6: lease.backendV6?.mac,
            publicIP: lease.publicIP,
            publicIPv6: lease.publicIPv6
        )
        peer.extraSubnets = lease.extraSubnets
        peer.vtep = lease.vtep
        peer.vtepV6 = lease.vtepV6
        peer.isDirect = lease.isDirect
        guard !peer.subnets.isEmpty else { throw .incomplete("subnet") }
        guard !peer.addresses.isEmpty else { throw .incomplete("underlay address") }
        for address in peer.addresses {
            guard address.isUsableForNode else { throw .unusableAddress(address) }
            if [own.lease.publicIP.map(IPAddress.v4), own.lease.publicIPv6.map(IPAddress.v6)].contains(address) {
                throw .ownProperty("\(address)")
            }
        }
        for data in [lease.backend, lease.backendV6].compactMap(\.self)
        where [own.lease.backend?.mac, own.lease.backendV6?.mac].contains(data.mac) {
            throw .ownProperty("\(data.mac)")
        }
        let pin = try checkRecord(of: lease, into: &peer)
        if peer.sealed == nil {
            peer.name = try plaintextName(lease, peer)
            // Standard VXLAN reaches each family's device by its own underlay address.
            if peer.subnet != nil, peer.mac == nil || peer.publicIP == nil {
                throw .incomplete("VtepMAC and address for IPv4")
            }
            if peer.subnetV6 != nil, peer.macV6 == nil || peer.publicIPv6 == nil {
                throw .incomplete("VtepMAC and address for IPv6")
            }
        }
        return (peer, pin)
    }

    private func checkSubnets(_ lease: Lease) throws(PeerRefusal) {
        for (subnet, family) in [(lease.subnet, pool.v4), (lease.subnetV6, pool.v6)] {
            guard let subnet else { continue }
            guard let family, subnet == subnet.network, subnet.length >= family.network.length,
                family.network.contains(subnet.address), subnet.length > 0
            else { throw .outsideNetwork(subnet) }
            for mine in own.lease.subnets where mine.overlaps(subnet) { throw .ownProperty("\(subnet)") }
        }
        for subnet in lease.extraSubnets {
            guard let family = subnet.address.isIPv6 ? pool.v6 : pool.v4, subnet == subnet.network,
                subnet.length >= family.network.length, family.network.contains(subnet.address), subnet.length > 0
            else { throw .outsideNetwork(subnet) }
            // A part of this node's own may have been lent; all of it, or more, has not.
            for mine in own.lease.subnets + own.lease.extraSubnets
            where mine.overlaps(subnet) && subnet.length <= mine.length { throw .ownProperty("\(subnet)") }
        }
    }

    /// A name that cannot be a sealed node's, where the directory has none.
    private func plaintextName(_ lease: Lease, _ peer: OverlayPeer) throws(PeerRefusal) -> String {
        if let name = lease.node {
            guard SealRecord.isName(name) else { throw .unreadable("its name is none of Kubernetes") }
            guard name != own.node else { throw .ownProperty("the name \(name)") }
            return name
        }
        return peer.addresses.first.map { "vtep@\($0)" } ?? lease.id
    }

    private func checkRecord(of lease: Lease, into peer: inout OverlayPeer) throws(PeerRefusal) -> Pin? {
        guard let text = lease.record else {
            if seal != .off, wasSealed(lease) { throw .noLongerSealed }
            guard seal != .require else { throw .notSealed }
            return nil
        }
        let record: SealRecord
        let signer: SigningKey
        do { (record, signer) = try SealRecord.read(text) } catch {
            switch error {
            case .malformed(let field): throw .malformedRecord(field)
            case .badSignature: throw .badSignature
            }
        }
        if seal == .off {
            if record.isStrict { throw .sealedOnly }
            return nil
        }
        guard record.node != own.node else { throw .ownProperty("the name \(record.node)") }
        for key in [record.publicKey, record.nextKey].compactMap(\.self) where own.publicKeys.contains(key) {
            throw .ownProperty("the key \(key)")
        }
        if let name = lease.node, name != record.node { throw .recordMismatch("name") }
        guard Set(record.subnets) == Set(lease.subnets) else { throw .recordMismatch("subnet") }
        guard [lease.backend, lease.backendV6].compactMap(\.self).allSatisfy({ $0.mac == record.mac }) else {
            throw .recordMismatch("VtepMAC")
        }
        guard record.endpoints.allSatisfy({ peer.addresses.contains($0.address) }) else {
            throw .recordMismatch("underlay address")
        }
        try checkSigner(signer, of: record)
        peer.name = record.node
        peer.mac = record.mac
        peer.macV6 = record.mac
        peer.sealed = OverlayPeer.Sealed(
            publicKey: record.publicKey,
            endpoints: record.endpoints,
            isStrict: record.isStrict
        )
        return Pin(signer: signer, sequence: record.sequence, id: lease.id)
    }

    /// Whoever removes a record must not get plaintext for it.
    private func wasSealed(_ lease: Lease) -> Bool {
        switch trust {
        case .directory: false
        case .pinned: pinned.contains(lease.id) || lease.node.map { pins[$0] != nil } ?? false
        case .roster(let roster): pinned.contains(lease.id) || lease.node.map { roster.signers[$0] != nil } ?? false
        }
    }

    private func checkSigner(_ signer: SigningKey, of record: SealRecord) throws(PeerRefusal) {
        switch trust {
        case .directory:
            // Whoever writes the directory may exchange the key; an old record of the same key is never taken.
            if let pin = pins[record.node], pin.signer == signer, record.sequence < pin.sequence { throw .oldRecord }
        case .pinned:
            guard let pin = pins[record.node] else { return }
            guard pin.signer == signer else { throw .otherSigner }
            if record.sequence < pin.sequence { throw .oldRecord }
        case .roster(let roster):
            guard let known = roster.signers[record.node] else { throw .notInRoster }
            guard known == signer else { throw .otherSigner }
            if let pin = pins[record.node], pin.signer == signer, record.sequence < pin.sequence { throw .oldRecord }
        }
    }
}

extension IPAddress {
    /// Whether a node can have it as its own: not unspecified, loopback, multicast, broadcast or link-local (RFC 6890).
    fileprivate var isUsableForNode: Bool {
        switch self {
        case .v4(let address):
            let first = address.rawValue >> 24
            return first != 0 && first != 127 && first < 224 && address.rawValue >> 16 != 0xa9fe
        case .v6(let address):
            let isLow = address.high == 0 && address.low >> 32 == 0
            let isMapped = address.high == 0 && address.low >> 32 == 0xffff
            return !isLow && !isMapped && address.high >> 56 != 0xff && !address.isLinkLocal
        }
    }
}
