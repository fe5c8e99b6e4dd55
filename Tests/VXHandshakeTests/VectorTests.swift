import Foundation
import Testing
import VXCrypto
import VXWire

@testable import VXHandshake

/// The handshake against runs that others wrote.
@Suite struct VectorTests {
    private func keyPair(_ value: Any?) throws -> StaticKeyPair {
        StaticKeyPair(secret: SecretBytes(copying: try hex(value)))
    }

    private func psk(_ value: Any?) throws -> PresharedKey {
        PresharedKey(secret: SecretBytes(copying: try hex(value)))
    }

    @Test("Noise_IKpsk2 of cacophony, both sides, the KEM left out")
    func cacophony() throws {
        let name = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b"
        let all = try vectors("noise-cacophony")
        let vector = try #require(all.first { $0["protocol_name"] as? String == name })
        let pattern = HandshakePattern(
            protocolName: name,
            prologue: try hex(vector["init_prologue"]),
            usesKEM: false
        )
        let messages = try #require(vector["messages"] as? [[String: Any]])
        let responder = try keyPair(vector["resp_static"])
        let key = try psk((vector["init_psks"] as? [String])?.first)
        let secrets = HandshakeSecrets(
            ephemeral: try keyPair(vector["init_ephemeral"]),
            kemSeed: SecretBytes(copying: [0])
        )
        guard
            let initiator = InitiatorHandshake(
                pattern: pattern,
                identity: try keyPair(vector["init_static"]),
                peer: responder.publicKey,
                secrets: secrets,
                payload: try hex(messages[0]["payload"])
            )
        else {
            Issue.record("no initiation")
            return
        }
        let first = initiator.message
        #expect(first == (try hex(messages[0]["ciphertext"])))

        guard let received = ReceivedInitiation(first, pattern: pattern, identity: responder),
            let initiation = received.authenticate()
        else {
            Issue.record("the initiation does not authenticate")
            return
        }
        let payload = initiation.payload
        #expect(payload == (try hex(messages[0]["payload"])))
        guard
            let finished = initiation.respond(
                ephemeral: try keyPair(vector["resp_ephemeral"]),
                psk: key,
                payload: try hex(messages[1]["payload"])
            )
        else {
            Issue.record("no response")
            return
        }
        let second = finished.message
        #expect(second == (try hex(messages[1]["ciphertext"])))

        guard let done = initiator.finish(second, psk: key) else {
            Issue.record("the response fails")
            return
        }
        let keys = done.takeKeys()
        let hash = keys.hash
        #expect(hash == (try hex(vector["handshake_hash"])))
        for (place, direction) in [(2, 0), (3, 1)] {
            let noise = keys.noiseKeys()
            let sealed = HandshakeCipher.seal(
                try hex(messages[place]["payload"]),
                key: SecretBytes(copying: direction == 0 ? noise.initiatorToResponder : noise.responderToInitiator),
                counter: 0,
                associatedData: []
            )
            #expect(sealed == (try hex(messages[place]["ciphertext"])))
        }
    }

    @Test("vxseal's own handshake, byte for byte as initiator, and the initiation as responder", arguments: 0..<4)
    func vxseal(number: Int) throws {
        let vector = try vectors("vxseal-handshake")[number]
        let responder = try keyPair(vector["responder_static"])
        let seed = try hex(vector["mlkem_seed_d"]) + hex(vector["mlkem_seed_z"])
        let expected = try hex(vector["initiation"])
        let response = try hex(vector["response"])
        let identity = try keyPair(vector["initiator_static"])
        guard
            let initiator = InitiatorHandshake(
                identity: identity,
                peer: responder.publicKey,
                secrets: HandshakeSecrets(
                    ephemeral: try keyPair(vector["initiator_ephemeral"]),
                    kemSeed: SecretBytes(copying: seed)
                ),
                payload: try hex(vector["initiation_payload"])
            )
        else {
            Issue.record("no initiation")
            return
        }
        let sender = ReceiverIndex(expected[4..<8].reduce(0) { $0 << 8 | UInt32($1) })
        let message = HandshakeMessage.initiation(
            sender: sender,
            noise: initiator.message,
            mac1Key: HandshakeMessage.mac1Key(for: responder.publicKey),
            cookie: nil
        )
        #expect(message == expected)

        let incoming = try HandshakeMessage.parse(
            expected,
            mac1Keys: [HandshakeMessage.mac1Key(for: responder.publicKey)]
        )
        guard case .initiation(let parsed) = incoming else {
            Issue.record("no initiation")
            return
        }
        guard let received = ReceivedInitiation(parsed.noise, identity: responder) else {
            Issue.record("the initiation does not authenticate")
            return
        }
        let remote = received.remoteStatic
        #expect(remote == identity.publicKey)
        guard let authenticated = received.authenticate() else {
            Issue.record("no proof of the static key")
            return
        }
        let payload = authenticated.payload
        #expect(payload == (try hex(vector["initiation_payload"])))

        let back = try HandshakeMessage.parse(response, mac1Keys: [HandshakeMessage.mac1Key(for: identity.publicKey)])
        guard case .response(let answer) = back else {
            Issue.record("no response")
            return
        }
        #expect(answer.receiver == sender)
        let wrongPSK = initiator.finish(answer.noise, psk: PresharedKey()) == nil
        #expect(wrongPSK)
        guard let done = initiator.finish(answer.noise, psk: try psk(vector["psk"])) else {
            Issue.record("the response does not authenticate")
            return
        }
        let finalPayload = done.payload
        #expect(finalPayload == (try hex(vector["response_payload"])))
        let keys = done.takeKeys()
        let hash = keys.hash
        #expect(hash == (try hex(vector["handshake_hash"])))
        let noise = keys.noiseKeys()
        #expect(noise.initiatorToResponder == (try hex(vector["key_initiator_to_responder"])))
        #expect(noise.responderToInitiator == (try hex(vector["key_responder_to_initiator"])))
        try checkTransport(vector, keys: keys.laneKeys(sendLanes: 4, receiveLanes: 1))
    }

    private func checkTransport(_ vector: [String: Any], keys: TransportKeySet) throws {
        let cipher = BulkCipher.libsodium()
        for transport in try #require(vector["transport"] as? [[String: Any]]) {
            let lane = try #require(transport["lane"] as? Int)
            let counter = try #require((transport["counter"] as? NSNumber)?.uint64Value)
            let index = try #require((transport["receiver_index"] as? NSNumber)?.uint32Value)
            let records = try hex(transport["records"])
            var datagram = [UInt8](repeating: 0, count: 16) + records + [UInt8](repeating: 0, count: 16)
            var span = datagram.mutableSpan
            var header = span.mutableBytes
            SealedHeader(lane: UInt8(lane), receiver: ReceiverIndex(index), counter: counter).write(into: &header)
            datagram.withUnsafeMutableBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                let (body, key) = (base + 16, keys.sendKey(lane: lane))
                _ = cipher.seal(into: body, from: body, count: records.count, header: base, counter: counter, key: key)
            }
            #expect(datagram == (try hex(transport["datagram"])))
        }
    }
}
