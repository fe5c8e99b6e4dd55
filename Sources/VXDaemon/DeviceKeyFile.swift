import Foundation
import VXCrypto
import VXLinux

/// The state directory's `device-key` file: which public key the MAC addresses of this node's devices come from.
///
/// That is the identity at the first start. A rotation replaces the identity, but neighbours and static entries on other nodes
/// know the addresses, so that they outlast it; a node that gets a new identity by hand gets new addresses.
///
/// The first line is that key, each further one a key whose node has these addresses too.
struct DeviceKeyFile {
    private let path: String

    init(stateDirectory: String) { path = stateDirectory + "/device-key" }

    private var keys: [PublicKey] {
        guard let data = FileManager.default.contents(atPath: path) else { return [] }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap { PublicKey(base64: String($0)) }
    }

    /// The key that addresses come from; nil before the first start.
    var stored: PublicKey? { keys.first }

    /// The key that addresses come from, for a node of this identity.
    func key(for identity: PublicKey) throws -> PublicKey {
        let known = keys
        if let first = known.first, known.contains(identity) { return first }
        try write([identity])
        return identity
    }

    /// A rotation is about to replace the identity. What went before no longer counts: it is in no key file.
    func inherit(from old: PublicKey, to new: PublicKey) throws {
        try write([key(for: old), old, new])
    }

    private func write(_ keys: [PublicKey]) throws {
        let text = keys.map { $0.base64 + "\n" }.joined()
        try DurableFile.replace(path, with: Array(text.utf8), mode: 0o600)
    }
}
