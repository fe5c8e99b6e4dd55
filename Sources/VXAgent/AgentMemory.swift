import Foundation
import VXControl
import VXCrypto
import VXLinux

/// What an agent keeps in the state directory: with it a node starts while the directory cannot be asked.
struct AgentMemory: Sendable {
    /// What the directory said last, after all checks.
    struct Overlay: Codable, Sendable, Equatable {
        /// The text of net-conf.json.
        var network: String
        /// This node's lease.
        var own: StoredLease
        /// All others.
        var leases: [StoredLease]
    }

    /// Why something that is kept cannot be used.
    struct Failure: Error, CustomStringConvertible { let description: String }

    private let overlayFile: String
    private let signingKeyFile: String
    /// A line for each node: name, signing key, sequence, lease. Users remove lines of nodes that were set up anew.
    let pinsFile: String

    init(stateDirectory: String) {
        overlayFile = stateDirectory + "/overlay.json"
        signingKeyFile = stateDirectory + "/signing.key"
        pinsFile = stateDirectory + "/pins"
    }

    // MARK: - The overlay

    /// Nil where nothing is kept, or what is kept cannot be read: the directory is asked then.
    var overlay: Overlay? {
        FileManager.default.contents(atPath: overlayFile).flatMap { try? JSONDecoder().decode(Overlay.self, from: $0) }
    }

    func keep(_ overlay: Overlay) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try DurableFile.replace(overlayFile, with: [UInt8](try encoder.encode(overlay)), mode: 0o600)
    }

    // MARK: - Pins

    func pins() throws -> [String: PeerTable.Pin] {
        guard let data = FileManager.default.contents(atPath: pinsFile) else { return [:] }
        var pins: [String: PeerTable.Pin] = [:]
        for (number, line) in String(decoding: data, as: UTF8.self).split(separator: "\n").enumerated() {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 4, let signer = SigningKey(base64: words[1]), let sequence = UInt64(words[2]) else {
                throw Failure(
                    description: "line \(number + 1) of \(pinsFile) is damaged; restore it from a backup, or remove it"
                )
            }
            pins[words[0]] = PeerTable.Pin(signer: signer, sequence: sequence, id: words[3])
        }
        return pins
    }

    func keep(_ pins: [String: PeerTable.Pin]) throws {
        let lines = pins.sorted { $0.key < $1.key }.map {
            "\($0.key) \($0.value.signer) \($0.value.sequence) \($0.value.id)\n"
        }
        try DurableFile.replace(pinsFile, with: Array(lines.joined().utf8), mode: 0o600)
    }

    // MARK: - The signing key

    /// This node's signing key, made at the first start.
    func signingKey() throws -> SigningKeyPair {
        if let data = FileManager.default.contents(atPath: signingKeyFile) {
            let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            guard let key = SigningKeyPair(base64: text) else {
                throw Failure(
                    description:
                        "\(signingKeyFile) holds no key; restore it from a backup: other nodes may have pinned it"
                )
            }
            return key
        }
        let key = SigningKeyPair()
        try key.withBase64 {
            try DurableFile.createExclusively(signingKeyFile, bytes: Array($0.utf8) + [10], mode: 0o600)
        }
        return key
    }
}
