import Foundation
import Testing
import VXCrypto
import VXHandshake

@testable import VXDaemon

/// The state of rotations on disk: what is written is read, and what was damaged is noticed.
@Suite struct StateFileTests {
    private let directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-\(UUID())").path
    private var keyFile: String { directory + "/node.key" }
    private var file: StateFile { StateFile(stateDirectory: directory, keyFile: keyFile) }

    init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }

    private func key() -> StaticKeyPair { StaticKeyPair(secret: .random(count: 32)) }

    private func write(_ key: StaticKeyPair, to path: String) throws {
        try key.withBase64 { try $0.write(toFile: path, atomically: false, encoding: .utf8) }
    }

    private func state(from old: StaticKeyPair, to new: StaticKeyPair) -> DurableState {
        var state = DurableState()
        state.lastSequence = 1_700_000_001
        var rotation = DurableState.OpenRotation(
            oldKey: old.publicKey,
            newKey: new.publicKey,
            sequence: 1_700_000_001,
            startedAt: 1_700_000_000,
            endsAt: 1_700_604_800
        )
        rotation.acknowledged = [key().publicKey, key().publicKey]
        rotation.switched = [key().publicKey]
        state.rotation = rotation
        var peer = PeerRecord(configuredKey: key().publicKey)
        peer.currentKey = key().publicKey
        peer.pendingKey = key().publicKey
        peer.retiredKeys = [key().publicKey, key().publicKey]
        peer.sequence = 12
        peer.isFrozen = true
        peer.psk = PSKRecord(
            origin: [UInt8](repeating: 3, count: 32),
            generation: 255,
            key: PresharedKey(secret: .random(count: 32)),
            pending: .init(
                key: PresharedKey(secret: .random(count: 32)),
                proposerNonce: [UInt8](repeating: 1, count: 32),
                answererNonce: [UInt8](repeating: 2, count: 32)
            )
        )
        state.peers = [peer, PeerRecord(configuredKey: key().publicKey)]
        return state
    }

    @Test("every field comes back; a file with any byte cut off or changed is none")
    func text() throws {
        let text = StateFile.text(of: state(from: key(), to: key()))
        let read = try #require(StateFile.parse(text))
        #expect(StateFile.text(of: read) == text)
        #expect(read.peers.first?.psk?.generation == 255 && read.peers.first?.retiredKeys.count == 2)
        for length in text.indices { #expect(StateFile.parse(Array(text[..<length])) == nil, "\(length) bytes") }
        for place in text.indices {
            var changed = text
            changed[place] ^= 1
            #expect(StateFile.parse(changed) == nil, "byte \(place)")
        }
    }

    @Test("a crash between any two steps of a rotation: the start finds a state that works")
    func crashes() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (old, new) = (key(), key())
        try write(old, to: keyFile)
        // Before anything: a fresh state.
        #expect(try file.load(identity: old).successor == nil)
        // The successor is written, the state is not: no peer has heard of it, and it goes.
        try file.writeSuccessor(new, beside: old.publicKey)
        #expect(try file.load(identity: old).successor == nil)
        #expect(!FileManager.default.fileExists(atPath: keyFile + ".next"))
        // Both are written: the rotation goes on.
        try file.writeSuccessor(new, beside: old.publicKey)
        try file.write(state(from: old, to: new))
        let open = try file.load(identity: old)
        #expect(open.successor?.publicKey == new.publicKey && open.state.rotation != nil && open.warnings.isEmpty)
        // The key file was renamed, the state still says open.
        try file.promoteSuccessor(replacing: old.publicKey, by: new.publicKey)
        let done = try file.load(identity: new)
        #expect(done.successor == nil && done.state.rotation == nil && done.warnings.isEmpty)
    }

    @Test("a key file or successor replaced behind the daemon's back is left alone and named")
    func replaced() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (old, new, foreign) = (key(), key(), key())
        try write(old, to: keyFile)
        try file.writeSuccessor(new, beside: old.publicKey)
        try file.write(state(from: old, to: new))
        try write(foreign, to: keyFile)
        #expect(throws: StartError.self) {
            try file.promoteSuccessor(replacing: old.publicKey, by: new.publicKey)
        }
        let loaded = try file.load(identity: foreign)
        #expect(loaded.state.rotation == nil && loaded.warnings.count == 1)
        try write(foreign, to: keyFile + ".next")
        try write(old, to: keyFile)
        #expect(try file.load(identity: old).warnings.count == 1)
        // A rotation is not begun beside a key that the daemon does not use.
        try write(foreign, to: keyFile)
        #expect(throws: StartError.self) { try file.writeSuccessor(new, beside: old.publicKey) }
        // A damaged state stops the start and says how to mend it.
        try write(old, to: keyFile)
        try Data("vxseal-rotation 1\n".utf8).write(to: URL(fileURLWithPath: file.path))
        #expect(throws: StartError.self) { try file.load(identity: old) }
    }
}
