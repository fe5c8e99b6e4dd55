import Foundation
import Testing

@testable import VXCrypto

/// The primitives against Wycheproof (C2SP/wycheproof).
@Suite struct WycheproofTests {
    private func groups(_ name: String) throws -> [[String: Any]] {
        let url = try #require(Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Vectors"))
        let object = try JSONSerialization.jsonObject(with: Data(contentsOf: url))
        return try #require((object as? [String: Any])?["testGroups"] as? [[String: Any]])
    }

    private func hex(_ value: Any?) throws -> [UInt8] {
        let text = Array(try #require(value as? String).utf8)
        return try stride(from: 0, to: text.count, by: 2).map { place in
            try #require(UInt8(String(decoding: text[place..<place + 2], as: UTF8.self), radix: 16))
        }
    }

    private func bytes(_ secret: consuming SecretBytes?) -> [UInt8]? {
        guard let secret else { return nil }
        return secret.withBytes { [UInt8]($0) }
    }

    @Test("ChaCha20-Poly1305, every case whose nonce starts with four zeros as ours do, and tampered ones")
    func chaCha20Poly1305() throws {
        var count = 0
        for group in try groups("wycheproof-chacha20-poly1305") where group["ivSize"] as? Int == 96 {
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let nonce = try hex(test["iv"])
                guard nonce.prefix(4) == [0, 0, 0, 0] else { continue }
                count += 1
                let counter = nonce.dropFirst(4).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                let key = SecretBytes(copying: try hex(test["key"]))
                let sealed = try hex(test["ct"]) + hex(test["tag"])
                let associated = try hex(test["aad"])
                let opened = HandshakeCipher.open(sealed, key: key, counter: counter, associatedData: associated)
                let expected = test["result"] as? String == "valid" ? try hex(test["msg"]) : nil
                #expect(opened == expected, "case \(test["tcId"] ?? "")")
            }
        }
        #expect(count >= 10)
    }

    @Test(
        "ChaCha20-Poly1305, every case, by every provider of the bulk cipher",
        arguments: BulkCipher.Provider.available
    )
    func bulkProviders(provider: BulkCipher.Provider) throws {
        let cipher = try BulkCipher.make(provider)
        var (valid, invalid) = (0, 0)
        for group in try groups("wycheproof-chacha20-poly1305") where group["ivSize"] as? Int == 96 {
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let (key, nonce, aad) = (try hex(test["key"]), try hex(test["iv"]), try hex(test["aad"]))
                let (message, sealed) = (try hex(test["msg"]), try hex(test["ct"]) + hex(test["tag"]))
                let isValid = test["result"] as? String == "valid"
                var bytes = message + [UInt8](repeating: 0, count: BulkCipher.tagLength)
                var opened = sealed
                let isSealed = bytes.withUnsafeMutableBytes { bytes in
                    cipher.sealFunction(
                        cipher.context,
                        bytes.baseAddress!,
                        bytes.baseAddress!,
                        message.count,
                        aad,
                        aad.count,
                        nonce,
                        key
                    )
                }
                let isAuthentic = opened.withUnsafeMutableBytes { opened in
                    cipher.openFunction(
                        cipher.context,
                        opened.baseAddress!,
                        message.count,
                        aad,
                        aad.count,
                        nonce,
                        key
                    )
                }
                #expect(isSealed && (bytes == sealed) == isValid, "case \(test["tcId"] ?? "")")
                #expect(isAuthentic == isValid, "case \(test["tcId"] ?? "")")
                if isValid { #expect(opened.prefix(message.count) == message[...], "case \(test["tcId"] ?? "")") }
                if isValid { valid += 1 } else { invalid += 1 }
            }
        }
        #expect(valid > 200 && invalid > 30)
    }

    @Test("X25519, every case; an all-zero result is refused")
    func x25519() throws {
        var zeros = 0
        for group in try groups("wycheproof-x25519") {
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let expected = try hex(test["shared"])
                guard let remote = PublicKey(bytes: try hex(test["public"])) else { continue }
                let pair = StaticKeyPair(secret: SecretBytes(copying: try hex(test["private"])))
                let isZero = expected.allSatisfy { $0 == 0 }
                if isZero { zeros += 1 }
                let shared = bytes(pair.sharedSecret(with: remote))
                #expect(shared == (isZero ? nil : expected), "case \(test["tcId"] ?? "")")
            }
        }
        #expect(zeros > 0)
    }

    @Test("ML-KEM-768: both sides share, and a broken ciphertext is rejected without a word")
    func mlkem() throws {
        guard let pair = MLKEM.KeyPair(seed: .random(count: MLKEM.seedLength)) else {
            Issue.record("no key")
            return
        }
        let (shared, ciphertext) = try #require(MLKEM.encapsulate(to: pair.encapsulationKey))
        let mine = shared.withBytes { [UInt8]($0) }
        let theirs = bytes(pair.decapsulate(ciphertext))
        #expect(theirs == mine)
        var broken = ciphertext
        broken[100] ^= 1
        let other = bytes(pair.decapsulate(broken))
        #expect(other != nil && other != mine)
    }

    @Test("ML-KEM-768, every case: the key of a seed, the secret of a ciphertext, wrong lengths refused")
    func mlkemDecapsulation() throws {
        var valid = 0
        for group in try groups("wycheproof-mlkem768") {
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let name = "case \(test["tcId"] ?? "")"
                let isValid = test["result"] as? String == "valid"
                guard let pair = MLKEM.KeyPair(seed: SecretBytes(copying: try hex(test["seed"]))) else {
                    #expect(!isValid, "\(name)")
                    continue
                }
                let shared = bytes(pair.decapsulate(try hex(test["c"])))
                if isValid {
                    valid += 1
                    let key = pair.encapsulationKey
                    #expect(key == (try hex(test["ek"])), "\(name)")
                    #expect(shared == (try hex(test["K"])), "\(name)")
                } else {
                    #expect(shared == nil, "\(name)")
                }
            }
        }
        #expect(valid > 20)
    }

    @Test("ML-KEM-768: an encapsulation key is refused exactly where Wycheproof refuses it")
    func mlkemEncapsulation() throws {
        var refused = 0
        for group in try groups("wycheproof-mlkem768-encaps") {
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let isValid = test["result"] as? String == "valid"
                let isAccepted = MLKEM.encapsulate(to: try hex(test["ek"])) != nil
                #expect(isAccepted == isValid, "case \(test["tcId"] ?? "")")
                if !isAccepted { refused += 1 }
            }
        }
        #expect(refused > 20)
    }

    @Test("XChaCha20-Poly1305 of cookie replies, every case of a cookie's length, and tampered ones")
    func xChaCha20Poly1305() throws {
        var valid = 0
        for group in try groups("wycheproof-xchacha20-poly1305") where group["ivSize"] as? Int == 192 {
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let isValid = test["result"] as? String == "valid"
                let opened = CookieCipher.open(
                    try hex(test["ct"]) + hex(test["tag"]),
                    nonce: try hex(test["iv"]),
                    key: try hex(test["key"]),
                    associatedData: try hex(test["aad"])
                )
                #expect(opened == (isValid ? try hex(test["msg"]) : nil), "case \(test["tcId"] ?? "")")
                if isValid { valid += 1 }
            }
        }
        #expect(valid > 100)
    }

    @Test("BulkCipher and the handshake's cipher give the same bytes; a flipped bit anywhere is found")
    func bulk() throws {
        let cipher = BulkCipher.libsodium()
        let key = [UInt8](repeating: 7, count: 32)
        let keys = key.withUnsafeBytes { bytes in
            TransportKeySet(send: bytes, receive: bytes, sendLanes: 2, receiveLanes: 2)
        }
        let header = Array(UInt8(0)..<16)
        let message = Array(UInt8(0)..<100)
        var datagram = header + message + [UInt8](repeating: 0, count: 16)
        func open(_ bytes: [UInt8]) -> Bool {
            var copy = bytes
            return copy.withUnsafeMutableBytes { all in
                guard let base = all.baseAddress else { return false }
                let key = keys.receiveKey(lane: 1)
                return cipher.open(inPlace: base + 16, count: 100, header: base, counter: 5, key: key)
            }
        }
        datagram.withUnsafeMutableBytes { all in
            guard let base = all.baseAddress else { return }
            let key = keys.sendKey(lane: 1)
            _ = cipher.seal(into: base + 16, from: base + 16, count: 100, header: base, counter: 5, key: key)
        }
        #expect(open(datagram))
        for place in datagram.indices {
            var forged = datagram
            forged[place] ^= 0x10
            #expect(!open(forged), "byte \(place)")
        }
    }
}
