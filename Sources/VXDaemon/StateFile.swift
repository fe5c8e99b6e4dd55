import Foundation
import VXCrypto
import VXHandshake
import VXLinux
import VXRuntime

/// The state directory's `rotation` file and the key files beside it (protocol.md, 6).
///
/// The file is text, a line a fact, and ends with a checksum line, so that a file that was cut or changed by hand is
/// noticed. It holds preshared keys and is its owner's alone.
struct StateFile: StateStore {
    let path: String
    let keyFile: String
    private let deviceKeyFile: DeviceKeyFile

    private static let version = "vxseal-rotation 1"
    /// Bytes of text for one peer, more than any takes.
    private static let roomForPeer = 4096

    init(stateDirectory: String, keyFile: String) {
        path = stateDirectory + "/rotation"
        self.keyFile = keyFile
        deviceKeyFile = DeviceKeyFile(stateDirectory: stateDirectory)
    }

    private var successorFile: String { keyFile + ".next" }

    private func keyPair(in file: String) -> StaticKeyPair? {
        FileManager.default.contents(atPath: file).flatMap {
            StaticKeyPair(base64: String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    private func publicKey(in file: String) -> PublicKey? { keyPair(in: file)?.publicKey }

    // MARK: - Reading

    /// What the daemon starts with.
    struct Loaded {
        var state: DurableState
        /// The open rotation's new key.
        var successor: StaticKeyPair?
        /// What the operator should know.
        var warnings: [String] = []
    }

    /// Reads the state and fits it to the key file: a crash may have come between any two steps of a rotation.
    func load(identity: StaticKeyPair) throws -> Loaded {
        var loaded = Loaded(state: DurableState())
        if FileManager.default.fileExists(atPath: path) {
            guard let text = FileManager.default.contents(atPath: path), let state = Self.parse([UInt8](text)) else {
                throw StartError(
                    "the state file \(path) is damaged or cannot be read; restore it from a backup, or remove it and "
                        + "repair peers that have rotated with: vxseal rotate accept PEER KEY"
                )
            }
            loaded.state = state
        }
        guard let rotation = loaded.state.rotation else {
            // Written, and no peer has heard of it.
            discardSuccessor()
            return loaded
        }
        if identity.publicKey == rotation.newKey {
            // The crash came between the rename and the state.
            loaded.state.rotation = nil
            return loaded
        }
        let successor = keyPair(in: successorFile)
        if identity.publicKey == rotation.oldKey, let successor, successor.publicKey == rotation.newKey {
            loaded.successor = successor
            return loaded
        }
        loaded.state.rotation = nil
        loaded.warnings.append(
            identity.publicKey == rotation.oldKey
                ? "the rotation to \(rotation.newKey) is given up, since \(successorFile) does not hold its key; "
                    + "peers that had accepted it need: vxseal rotate forget \"this node\""
                : "the rotation to \(rotation.newKey) is given up, since \(keyFile) was replaced by another key"
        )
        return loaded
    }

    // MARK: - StateStore

    func write(_ state: DurableState) throws {
        var text = Self.text(of: state)
        defer { for place in text.indices { text[place] = 0 } }
        try DurableFile.replace(path, with: text, mode: 0o600)
    }

    func writeSuccessor(_ key: StaticKeyPair, beside present: PublicKey) throws {
        guard publicKey(in: keyFile) == present else {
            throw StartError(
                "\(keyFile) no longer holds the key that this daemon uses; put that back, or restart the daemon to use "
                    + "the other"
            )
        }
        discardSuccessor()
        try key.withBase64 {
            try DurableFile.createExclusively(successorFile, bytes: Array($0.utf8) + [10], mode: 0o600)
        }
    }

    func discardSuccessor() { unlink(successorFile) }

    func promoteSuccessor(replacing old: PublicKey, by new: PublicKey) throws {
        // An attempt that got as far as this, but not to the disk.
        if publicKey(in: keyFile) == new { return try DurableFile.synchronizeDirectory(of: keyFile) }
        guard publicKey(in: keyFile) == old else {
            throw StartError("\(keyFile) no longer holds the key that is rotated; it was replaced, and is left alone")
        }
        guard publicKey(in: successorFile) == new else {
            throw StartError("\(successorFile) does not hold the new key")
        }
        try deviceKeyFile.inherit(from: old, to: new)
        try DurableFile.move(successorFile, to: keyFile)
    }

    // MARK: - The text

    static func text(of state: DurableState) -> [UInt8] {
        var text: [UInt8] = []
        // No reallocation, which would leave copies of keys behind.
        text.reserveCapacity(roomForPeer * (state.peers.count + 1))
        func line(_ parts: String...) { text += Array((parts.joined(separator: " ") + "\n").utf8) }
        line(version)
        line("sequence", String(state.lastSequence))
        if let rotation = state.rotation {
            line(
                "rotation",
                rotation.oldKey.base64,
                rotation.newKey.base64,
                String(rotation.sequence),
                String(rotation.startedAt),
                String(rotation.endsAt)
            )
            for key in rotation.acknowledged.sorted() { line("acknowledged", key.base64) }
            for key in rotation.switched.sorted() { line("switched", key.base64) }
        }
        for peer in state.peers {
            line("peer", peer.configuredKey.base64, String(peer.sequence), peer.isFrozen ? "frozen" : "open")
            if let key = peer.currentKey { line("current", key.base64) }
            if let key = peer.pendingKey { line("pending", key.base64) }
            for key in peer.retiredKeys { line("retired", key.base64) }
            guard let psk = peer.psk else { continue }
            psk.key.withBase64 { line("psk", hex(psk.origin), String(psk.generation), $0) }
            guard let next = psk.pending else { continue }
            next.key.withBase64 { line("next-psk", hex(next.proposerNonce), hex(next.answererNonce), $0) }
        }
        let checksum = hex(BLAKE2b.hash(text, length: 32))
        line("checksum", checksum)
        return text
    }

    /// Nil for anything that `text` did not write.
    static func parse(_ bytes: [UInt8]) -> DurableState? {
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.split(separator: " ").map(String.init) }
        guard lines.popLast() == [], let last = lines.popLast(), last.count == 2, last[0] == "checksum",
            lines.first == version.split(separator: " ").map(String.init)
        else { return nil }
        let covered = bytes.prefix(bytes.count - "checksum ".utf8.count - last[1].utf8.count - 1)
        guard hex(BLAKE2b.hash(Array(covered), length: 32)) == last[1] else { return nil }
        var reader = Reader()
        for line in lines.dropFirst() { guard reader.read(line) else { return nil } }
        return reader.finish()
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// Puts lines together.
    private struct Reader {
        private var state = DurableState()
        private var peer: PeerRecord?

        mutating func finish() -> DurableState {
            if let peer { state.peers.append(peer) }
            return state
        }

        /// False for a line that is none of the format's.
        mutating func read(_ line: [String]) -> Bool {
            switch (line.first, line.count) {
            case ("sequence", 2):
                guard let number = UInt64(line[1]) else { return false }
                state.lastSequence = number
            case ("rotation", 6):
                guard let old = PublicKey(base64: line[1]), let new = PublicKey(base64: line[2]),
                    let sequence = UInt64(line[3]), let start = UInt64(line[4]), let end = UInt64(line[5])
                else { return false }
                state.rotation = DurableState.OpenRotation(
                    oldKey: old,
                    newKey: new,
                    sequence: sequence,
                    startedAt: start,
                    endsAt: end
                )
            case ("peer", 4):
                guard let key = PublicKey(base64: line[1]), let sequence = UInt64(line[2]) else { return false }
                if let peer { state.peers.append(peer) }
                peer = PeerRecord(configuredKey: key)
                peer?.sequence = sequence
                peer?.isFrozen = line[3] == "frozen"
            case ("psk", 4):
                guard let origin = bytes(line[1]), let generation = UInt8(line[2]),
                    let key = PresharedKey(base64: line[3])
                else { return false }
                peer?.psk = PSKRecord(origin: origin, generation: generation, key: key, pending: nil)
            case ("next-psk", 4):
                guard let proposer = bytes(line[1]), let answerer = bytes(line[2]),
                    let key = PresharedKey(base64: line[3])
                else { return false }
                peer?.psk?.pending = PSKRecord.Pending(key: key, proposerNonce: proposer, answererNonce: answerer)
            case (.some(let kind), 2):
                guard let key = PublicKey(base64: line[1]) else { return false }
                return read(kind, key)
            default: return false
            }
            return true
        }

        private mutating func read(_ kind: String, _ key: PublicKey) -> Bool {
            switch kind {
            case "acknowledged": state.rotation?.acknowledged.insert(key)
            case "switched": state.rotation?.switched.insert(key)
            case "current": peer?.currentKey = key
            case "pending": peer?.pendingKey = key
            case "retired": peer?.retiredKeys.append(key)
            default: return false
            }
            return true
        }

        private func bytes(_ text: String) -> [UInt8]? {
            guard text.utf8.count == 64 else { return nil }
            var bytes: [UInt8] = []
            var rest = text[...]
            while !rest.isEmpty {
                guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
                bytes.append(byte)
                rest = rest.dropFirst(2)
            }
            return bytes
        }
    }
}
