import VXCrypto
import VXWire

@testable import VXConfig

/// Configurations of tests, without files.
enum TestConfiguration {
    static let identity = StaticKeyPair()

    static func network(_ vni: UInt32, _ change: (inout NetworkConfiguration) -> Void = { _ in })
        -> NetworkConfiguration
    {
        var network = NetworkConfiguration(
            vni: VNI(truncating: vni),
            device: "vxs\(vni)",
            mode: .sealed,
            addresses: [],
            bridge: nil,
            allowMixedBridge: false,
            mtu: nil,
            vlanHeadroom: 0,
            learning: true,
            forwardLinkLocal: false,
            copyDscp: true,
            vlans: nil,
            fdb: [],
            fdbLimit: 64,
            flood: .all,
            bumRate: 2_000,
            neighborSuppression: false
        )
        change(&network)
        return network
    }

    /// A peer at 192.0.2.2; without a key a plaintext one.
    static func peer(
        _ name: String,
        _ key: PublicKey?,
        in networks: [UInt32],
        _ change: (inout PeerConfiguration) -> Void = { _ in }
    ) -> PeerConfiguration {
        var peer = PeerConfiguration(
            name: name,
            sealed: key.map { .init(publicKey: $0, presharedKeyFile: nil, presharedKey: .none) },
            endpoint: Endpoint("192.0.2.2:47890"),
            endpointName: nil,
            roaming: true,
            acceptSuccessors: true,
            keepalive: nil,
            networks: networks.map { VNI(truncating: $0) },
            allow: nil
        )
        change(&peer)
        return peer
    }

    static func node(
        _ networks: [NetworkConfiguration],
        _ peers: [PeerConfiguration],
        _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) -> NodeConfiguration {
        var node = NodeConfiguration(
            node: "a",
            privateKeyFile: "/a.key",
            identity: identity,
            stateDirectory: "/state",
            listen: [],
            plaintextListen: [],
            firewallMark: 0,
            lanes: nil,
            sourcePorts: .lanes,
            lanePorts: [],
            busyPoll: .seconds(0),
            bindDevice: nil,
            adminSocket: "/a.sock",
            offloads: OffloadConfiguration(),
            cipher: nil,
            networks: networks,
            peers: peers
        )
        change(&node)
        return node
    }
}
