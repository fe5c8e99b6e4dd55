public import VXCrypto
public import VXWire

/// Another node of the overlay, after all that its lease and record say was checked.
public struct OverlayPeer: Sendable, Hashable {
    /// What makes it sealed.
    public struct Sealed: Sendable, Hashable {
        /// Its identity.
        public var publicKey: PublicKey
        /// Where it listens, by family.
        public var endpoints: [Endpoint]
        /// It takes nothing in the clear.
        public var isStrict: Bool
    }

    /// Its lease's id.
    public var id: String
    /// Its name: of its record, else of the directory, else its underlay address.
    public var name: String
    /// Its pod subnets.
    public var subnet: IPPrefix?
    /// Its pod subnet of IPv6.
    public var subnetV6: IPPrefix?
    /// Its device for IPv4 packets.
    public var mac: MACAddress?
    /// Its device for IPv6 packets.
    public var macV6: MACAddress?
    /// Its underlay address of IPv4.
    public var publicIP: IPv4Address?
    /// Its underlay address of IPv6.
    public var publicIPv6: IPv6Address?
    /// More subnets and single addresses of its pods, some of them within other nodes' subnets: Calico's.
    public var extraSubnets: [IPPrefix] = []
    /// The next hop of routes to its pods of IPv4; nil for its subnet's first address, as flannel has it.
    public var vtep: IPv4Address?
    /// The next hop of routes to its pods of IPv6.
    public var vtepV6: IPv6Address?
    /// Its pods are reached without VXLAN.
    public var isDirect = false
    /// Nil for a node of flannel.
    public var sealed: Sealed?

    /// From its parts.
    public init(
        id: String,
        name: String,
        subnet: IPPrefix?,
        subnetV6: IPPrefix? = nil,
        mac: MACAddress?,
        macV6: MACAddress? = nil,
        publicIP: IPv4Address?,
        publicIPv6: IPv6Address? = nil
    ) {
        self.id = id
        self.name = name
        self.subnet = subnet
        self.subnetV6 = subnetV6
        self.mac = mac
        self.macV6 = macV6
        self.publicIP = publicIP
        self.publicIPv6 = publicIPv6
    }

    /// Its underlay addresses.
    public var addresses: [IPAddress] { [publicIP.map(IPAddress.v4), publicIPv6.map(IPAddress.v6)].compactMap(\.self) }
    /// Its subnets.
    public var subnets: [IPPrefix] { [subnet, subnetV6].compactMap(\.self) }
}

/// Why an entry of the directory is no peer. The texts are what users read.
public enum PeerRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// It cannot be read.
    case unreadable(String)
    /// A backend that is not VXLAN.
    case otherBackend(String)
    /// Its VNI is not this overlay's.
    case otherVNI(Int)
    /// A subnet that is none of the overlay's.
    case outsideNetwork(IPPrefix)
    /// It has no device's address, or no underlay address, for its subnet.
    case incomplete(String)
    /// An underlay address that no node can have.
    case unusableAddress(IPAddress)
    /// What it claims is this node's.
    case ownProperty(String)
    /// What it claims is another peer's.
    case taken(String, by: String)
    /// Its record cannot be read.
    case malformedRecord(String)
    /// Its record's signature is not by the key that it names.
    case badSignature
    /// Its record says something else than its lease.
    case recordMismatch(String)
    /// It is signed by another key than the node's.
    case otherSigner
    /// The roster does not name it.
    case notInRoster
    /// An older record than one that was seen.
    case oldRecord
    /// It is sealed by what was pinned, and has no record now.
    case noLongerSealed
    /// It has no record, and everything must be sealed.
    case notSealed
    /// It takes nothing in the clear, and this node seals nothing.
    case sealedOnly

    /// What is wrong, and where there is one, the mend.
    public var description: String {
        switch self {
        case .unreadable(let why): "cannot be read: \(why)"
        case .otherBackend(let type): "its backend is \(type), not vxlan"
        case .otherVNI(let vni): "its VNI is \(vni), not this overlay's"
        case .outsideNetwork(let subnet): "its subnet \(subnet) is outside the overlay's network"
        case .incomplete(let what): "it has no \(what)"
        case .unusableAddress(let address): "its address \(address) is none that a node can have"
        case .ownProperty(let what): "it claims \(what), which is this node's own"
        case .taken(let what, let name): "it claims \(what), which is \(name)'s"
        case .malformedRecord(let field): "its record is malformed at \(field)"
        case .badSignature: "the signature of its record is wrong"
        case .recordMismatch(let field): "its record names another \(field) than its lease"
        case .otherSigner:
            "its record is signed by another key than before; if the node was set up anew, remove its line from the pins file"
        case .notInRoster: "the roster does not name it with that key; sign a roster that does"
        case .oldRecord: "its record is older than one that was seen before"
        case .noLongerSealed:
            "it was sealed and publishes no record now; if that is meant, remove its line from the pins file"
        case .notSealed: "it is not sealed, and `seal: require` reaches sealed nodes alone"
        case .sealedOnly: "it takes sealed traffic alone, and `seal: off` sends none"
        }
    }

    /// Something that an honest directory does not contain: to be looked into.
    public var isSuspicious: Bool {
        switch self {
        case .otherBackend, .otherVNI, .notSealed, .sealedOnly, .incomplete, .notInRoster: false
        case .unreadable, .outsideNetwork, .unusableAddress, .ownProperty, .taken, .malformedRecord, .badSignature,
            .recordMismatch, .otherSigner, .oldRecord, .noLongerSealed:
            true
        }
    }
}
