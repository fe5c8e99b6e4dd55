import Foundation
import VXConfig
import VXControl
import VXCrypto
import VXWire

/// What this node publishes, put together from what it is. Pure.
struct OwnLease: Sendable {
    let configuration: NodeConfiguration
    let network: FlannelNetworkConfiguration
    let seal: SealPolicy
    let mac: MACAddress
    let signer: SigningKeyPair
    /// What the operator has set for this node.
    let settings: NodeSettings

    /// What is asked for, before the directory has said which subnets it is.
    func request(underlay: Underlay) -> Lease {
        let data = BackendData(vni: Int(network.backend.vni.rawValue), mac: mac)
        return settings.overwriting(
            Lease(
                id: "",
                subnet: nil,
                publicIP: underlay.publicIP,
                publicIPv6: underlay.publicIPv6,
                backend: network.pool.v4 == nil ? nil : data,
                backendV6: network.pool.v6 == nil ? nil : data
            )
        )
    }

    /// The lease with a record that says the same.
    /// - Parameters:
    ///   - lease: its subnets are the directory's.
    ///   - keys: the identity in use, and the one to come.
    ///   - earlier: the record that was published last: it stays where it says the same.
    ///   - now: milliseconds since 1970.
    func complete(
        _ lease: Lease,
        underlay: Underlay,
        keys: NodeKeys,
        earlier: String?,
        now: UInt64
    ) -> Lease {
        // What Calico has settled of a node is all there is to say.
        if lease.vtep != nil || lease.vtepV6 != nil { return lease }
        var complete = request(underlay: underlay)
        complete.id = lease.id
        complete.node = lease.node
        complete.subnet = lease.subnet
        complete.subnetV6 = lease.subnetV6
        guard seal != .off else { return complete }
        let addresses: [IPAddress] = [complete.publicIP.map(IPAddress.v4), complete.publicIPv6.map(IPAddress.v6)]
            .compactMap(\.self)
        var record = SealRecord(
            node: configuration.node,
            publicKey: keys.current,
            nextKey: keys.next,
            endpoints: addresses.compactMap(endpoint(at:)),
            subnets: complete.subnets,
            mac: mac,
            isStrict: seal == .require,
            sequence: now
        )
        if let earlier, let (known, key) = try? SealRecord.read(earlier), key == signer.publicKey {
            record.sequence = known.sequence
            guard record != known else {
                complete.record = earlier
                return complete
            }
            // Also where the clock has gone back.
            record.sequence = max(now, known.sequence + 1)
        }
        complete.record = record.signed(by: signer)
        return complete
    }

    /// Where sealed datagrams to one of its addresses are heard: `[::]` alone hears both families.
    private func endpoint(at address: IPAddress) -> Endpoint? {
        let listeners = configuration.listen
        let port =
            listeners.first { $0.address.isIPv6 == address.isIPv6 }?.port
            ?? (listeners.count == 1 && listeners[0].address.isIPv6 ? listeners[0].port : nil)
        return port.map { Endpoint(address: address, port: $0) }
    }
}

/// This node's identities, as its key files have them.
struct NodeKeys: Sendable, Equatable {
    /// In use.
    var current: PublicKey
    /// The one that an open rotation replaces it by.
    var next: PublicKey?

    /// Reads the files; nil while one is being replaced.
    init?(keyFile: String) {
        func key(_ path: String) -> PublicKey? {
            guard let data = FileManager.default.contents(atPath: path) else { return nil }
            let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return StaticKeyPair(base64: text)?.publicKey
        }
        guard let current = key(keyFile) else { return nil }
        self.current = current
        next = key(keyFile + ".next")
    }

    /// All of them.
    var all: [PublicKey] { [current] + [next].compactMap(\.self) }
}
