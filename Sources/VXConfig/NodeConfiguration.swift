public import VXCrypto
public import VXWire

/// A whole, validated configuration (product.md, Configuration). Key files have been read.
public struct NodeConfiguration: Sendable {
    /// This node's name.
    public var node: String
    /// Where the identity was read from.
    public var privateKeyFile: String
    /// The identity.
    public var identity: StaticKeyPair
    /// Where timestamps are kept.
    public var stateDirectory: String
    /// The sealed endpoints, at most one a family; `[::]` alone stands for both families.
    public var listen: [Endpoint]
    /// The plaintext endpoints; opened only if a plaintext network exists.
    public var plaintextListen: [Endpoint]
    /// SO_MARK on outer packets, 0 for none.
    public var firewallMark: UInt32
    /// How many lanes this node sends on, 1 to 16; nil for `auto`: one per core, at most 4.
    public var lanes: Int?
    /// Which source ports lanes 1 and up have.
    public var sourcePorts: SourcePorts
    /// Their ports, lane 1 first; empty where the kernel chooses.
    public var lanePorts: [UInt16]
    /// How long a lane that has nothing to do keeps looking before it sleeps; zero: it sleeps at once.
    public var busyPoll: Interval
    /// The interface or VRF the underlay is tied to.
    public var bindDevice: String?
    /// The admin socket's path.
    public var adminSocket: String
    /// The daemon gives up what it does not need; false to look for a fault in that.
    public var isSandboxed = true
    /// Where metrics are served by HTTP, for Prometheus; nil for nowhere.
    public var metrics: Endpoint?
    /// Which offloads may be used.
    public var offloads: OffloadConfiguration
    /// Who computes the AEAD; nil for `auto`: the fastest that proves itself.
    public var cipher: BulkCipher.Provider?
    /// The networks, in the file's order.
    public var networks: [NetworkConfiguration]
    /// The peers, in the file's order: a peer's place is its index.
    public var peers: [PeerConfiguration]
}

/// Which source ports lanes 1 and up have (protocol.md, 2a). Lane 0 always has the listen port.
public enum SourcePorts: String, Sendable, CaseIterable {
    /// Each a port of its own, so that routers and network cards spread them.
    case lanes
    /// The listen port.
    case fixed
}

/// One network.
public struct NetworkConfiguration: Sendable, Equatable {
    /// How its frames travel.
    public enum Mode: String, Sendable, CaseIterable {
        /// Only sealed.
        case sealed
        /// Only standard VXLAN.
        case plaintext
        /// Sealed with peers that have a key, standard VXLAN with the others.
        case mixed
    }

    /// What of a frame without one known receiver is sent to every peer.
    public enum Flood: String, Sendable, CaseIterable {
        /// Broadcast, multicast, and unicast to an unknown station.
        case all
        /// Nothing.
        case none
        /// As `all`, but multicast only to peers that want it, by IGMP and MLD.
        case knownMulticast = "known-multicast"
    }

    /// A configured station.
    public struct StaticEntry: Sendable, Equatable {
        /// Its address.
        public var mac: MACAddress
        /// The name of the peer it is behind.
        public var peer: String
        /// Its inner addresses, which ARP and neighbour discovery are answered with.
        public var addresses: [IPAddress]
    }

    /// Its identifier.
    public var vni: VNI
    /// The TAP device's name, at most 15 bytes.
    public var device: String
    /// The TAP device's MAC address; nil for one that comes from the node's key.
    public var mac: MACAddress?
    /// False for a relay for which none is configured: frames only pass between its peers.
    public var hasDevice = true
    /// How its frames travel.
    public var mode: Mode
    /// Frames are passed on between sealed and plaintext peers; in a mixed network only.
    public var relay = false
    /// Addresses of the device.
    public var addresses: [IPPrefix]
    /// The bridge the device joins, which is made if there is none.
    public var bridge: String?
    /// A sealed network's bridge may hold a plaintext network too.
    public var allowMixedBridge: Bool
    /// The device's MTU in bytes; nil for `auto`: underlay MTU less the overhead.
    public var mtu: Int?
    /// Bytes kept free for inner VLAN tags.
    public var vlanHeadroom: Int
    /// Source addresses are learned.
    public var learning: Bool
    /// Frames to 01:80:c2:00:00:00 to 0f are passed on.
    public var forwardLinkLocal: Bool
    /// The outer DSCP is the inner one; else it is zero. ECN always passes (RFC 6040).
    public var copyDscp: Bool
    /// The VLAN tags it carries, 0 for frames without one; nil for all.
    public var vlans: [UInt16]?
    /// Configured stations.
    public var fdb: [StaticEntry]
    /// How many stations may be learned.
    public var fdbLimit: Int
    /// What is flooded.
    public var flood: Flood
    /// Broadcast, multicast and unknown unicast frames a second, of the own device and of each peer; nil for any.
    public var bumRate: Int?
    /// ARP and neighbour discovery of the own device are answered from what is known for certain.
    public var neighborSuppression: Bool
}

extension NetworkConfiguration {
    /// A network that carries no more than routed packets between stations that are all known: nothing is flooded.
    package init(
        vni: VNI,
        device: String,
        mode: Mode,
        addresses: [IPPrefix],
        mtu: Int?,
        learning: Bool,
        fdbLimit: Int
    ) {
        self.init(
            vni: vni,
            device: device,
            mode: mode,
            addresses: addresses,
            bridge: nil,
            allowMixedBridge: false,
            mtu: mtu,
            vlanHeadroom: 0,
            learning: learning,
            forwardLinkLocal: false,
            copyDscp: true,
            vlans: nil,
            fdb: [],
            fdbLimit: fdbLimit,
            flood: .none,
            bumRate: nil,
            neighborSuppression: false
        )
    }
}

/// A host name and a port, for an endpoint that is looked up.
public struct EndpointName: Sendable, Equatable {
    /// The name.
    public var host: String
    /// The UDP port.
    public var port: UInt16

    /// Reads `node-b.example.net:47890`; nil for text that is no host name (RFC 1123, 2.1) with a port.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        let host = text[..<colon]
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
                }
        }
        // A name whose last label is a number would be a mistyped address.
        guard isName, host.utf8.count <= 253, labels.last?.allSatisfy(\.isNumber) == false else { return nil }
        self.host = String(host)
        self.port = port
    }
}

/// One peer.
public struct PeerConfiguration: Sendable {
    /// What makes a peer sealed.
    public struct Sealed: Sendable {
        /// Its identity.
        public var publicKey: PublicKey
        /// Where the preshared key was read from.
        public var presharedKeyFile: String?
        /// The preshared key, `PresharedKey.none` without a file.
        public var presharedKey: PresharedKey
    }

    /// Cryptokey binding: what the peer may claim to be.
    public struct Allowance: Sendable, Equatable {
        /// Source MAC addresses, the peer's alone; empty leaves it any that are no other peer's.
        public var macs: [MACAddress]
        /// Inner addresses it may speak for; empty leaves it all.
        public var prefixes: [IPPrefix]
        /// Whether it may send router advertisements and DHCP answers.
        public var router: Bool
    }

    /// Its name here.
    public var name: String
    /// Nil for a standard plaintext VTEP.
    public var sealed: Sealed?
    /// Where it is, if known.
    public var endpoint: Endpoint?
    /// The name and port that the endpoint was looked up by, if it was a name.
    public var endpointName: EndpointName?
    /// Whether it may move.
    public var roaming: Bool
    /// Whether it may name its successor key itself.
    public var acceptSuccessors: Bool
    /// Something is sent at least this often.
    public var keepalive: Interval?
    /// The networks it takes part in.
    public var networks: [VNI]
    /// What it may claim to be; nil for anything that is no other peer's.
    public var allow: Allowance?
}

extension NetworkConfiguration.StaticEntry {
    /// A station behind a peer, whose addresses are not answered for.
    package init(station mac: MACAddress, behind peer: String) {
        self.init(mac: mac, peer: peer, addresses: [])
    }
}

extension PeerConfiguration.Sealed {
    /// From its parts.
    package init(_ publicKey: PublicKey) {
        self.init(publicKey: publicKey, presharedKeyFile: nil, presharedKey: .none)
    }
}

extension PeerConfiguration {
    /// A node that a directory names.
    package init(name: String, sealed: Sealed?, endpoint: Endpoint?, networks: [VNI], allow: Allowance) {
        self.init(
            name: name,
            sealed: sealed,
            endpoint: endpoint,
            endpointName: nil,
            roaming: true,
            acceptSuccessors: true,
            keepalive: nil,
            networks: networks,
            allow: allow
        )
    }
}

extension PeerConfiguration.Allowance {
    /// A station and its inner addresses.
    package init(stations: [MACAddress], prefixes: [IPPrefix]) {
        self.init(macs: stations, prefixes: prefixes, router: false)
    }
}

/// What is wrong with a configuration, in one place of it.
public struct ConfigurationProblem: Error, Equatable, CustomStringConvertible, Sendable {
    /// The file's path as it was given.
    public let file: String
    /// The line, from 1; 0 for the file as a whole.
    public let line: Int
    /// What is wrong.
    public let what: String
    /// How to mend it.
    public let mend: String

    /// `FILE:LINE: what; how to mend it`.
    public var description: String { line > 0 ? "\(file):\(line): \(what); \(mend)" : "\(file): \(what); \(mend)" }
}

/// Everything that is wrong with a configuration, by line.
public struct ConfigurationProblems: Error, Sendable {
    /// At least one.
    public let problems: [ConfigurationProblem]
}
