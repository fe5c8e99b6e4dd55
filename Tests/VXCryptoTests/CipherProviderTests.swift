import Foundation
import Testing
import VXWire

@testable import VXCrypto

/// The providers of the bulk cipher: whichever are here give libsodium's bytes, refuse what is forged, and prove it before
/// they are used.
@Suite struct CipherProviderTests {
    private static let mostBytes = 9000

    /// Memory to seal and open in at any alignment, and keys for it.
    private final class Bench {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * (mostBytes + 128), alignment: 64)
        let other: UnsafeMutableRawPointer
        let header = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 1)
        let keys: TransportKeySet
        var numbers = SystemRandomNumberGenerator()

        init() {
            other = memory + mostBytes + 128
            let key = (0..<32).map { _ in UInt8.random(in: 0...255) }
            keys = key.withUnsafeBytes { TransportKeySet(send: $0, receive: $0, sendLanes: 1, receiveLanes: 1) }
        }

        deinit {
            memory.deallocate()
            header.deallocate()
        }

        func bytes(at place: UnsafeMutableRawPointer, _ count: Int) -> [UInt8] {
            [UInt8](UnsafeRawBufferPointer(start: place, count: count))
        }

        func write(_ bytes: [UInt8], to place: UnsafeMutableRawPointer) {
            bytes.withUnsafeBytes {
                place.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(place), byteCount: $0.count)
            }
        }

        func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) } }
    }

    private func seal(
        _ cipher: borrowing BulkCipher,
        _ bench: Bench,
        _ plaintext: [UInt8],
        counter: UInt64,
        from: Int,
        into: Int?
    ) -> [UInt8] {
        let source = bench.memory + from
        let target = into.map { bench.other + $0 } ?? source
        bench.write(plaintext, to: source)
        let key = bench.keys.sendKey(lane: 0)
        let count = plaintext.count
        let isSealed =
            cipher.seal(into: target, from: source, count: count, header: bench.header, counter: counter, key: key)
        #expect(isSealed)
        if into != nil { #expect(bench.bytes(at: source, count) == plaintext, "the source is changed") }
        return bench.bytes(at: target, count + BulkCipher.tagLength)
    }

    private func open(
        _ cipher: borrowing BulkCipher,
        _ bench: Bench,
        _ sealed: [UInt8],
        counter: UInt64,
        at offset: Int
    ) -> (isAuthentic: Bool, bytes: [UInt8]) {
        let place = bench.memory + offset
        bench.write(sealed, to: place)
        let count = sealed.count - BulkCipher.tagLength
        let key = bench.keys.receiveKey(lane: 0)
        let isAuthentic =
            cipher.open(inPlace: place, count: count, header: bench.header, counter: counter, key: key)
        return (isAuthentic, bench.bytes(at: place, count))
    }

    @Test(
        "random lengths and alignments, in place and not: libsodium's bytes, and back",
        arguments: BulkCipher.Provider.available
    )
    func equality(provider: BulkCipher.Provider) throws {
        let bench = Bench()
        let cipher = try BulkCipher.make(provider)
        let reference = BulkCipher.libsodium()
        for round in 0..<1500 {
            let count = round < 600 ? round : Int.random(in: 0...Self.mostBytes)
            let plaintext = bench.random(count)
            let counter = UInt64.random(in: 0...UInt64.max)
            bench.write(bench.random(16), to: bench.header)
            let (from, into) = (Int.random(in: 0..<64), round % 2 == 0 ? nil : Int.random(in: 0..<64))
            let expected = seal(reference, bench, plaintext, counter: counter, from: 0, into: nil)
            let sealed = seal(cipher, bench, plaintext, counter: counter, from: from, into: into)
            try #require(sealed == expected, "\(count) bytes from +\(from) into +\(into ?? from)")
            let opened = open(cipher, bench, sealed, counter: counter, at: from)
            try #require(opened.isAuthentic && opened.bytes == plaintext, "\(count) bytes at +\(from)")
        }
    }

    @Test(
        "every flipped bit of a datagram, its header or its counter is refused, and nothing of it shown",
        arguments: BulkCipher.Provider.available
    )
    func tampering(provider: BulkCipher.Provider) throws {
        let bench = Bench()
        let cipher = try BulkCipher.make(provider)
        for count in [0, 1, 15, 16, 63, 64, 65, 200] {
            bench.write(bench.random(16), to: bench.header)
            let sealed = seal(cipher, bench, bench.random(count), counter: 9, from: 3, into: nil)
            let zeros = [UInt8](repeating: 0, count: count)
            for bit in 0..<sealed.count * 8 {
                var forged = sealed
                forged[bit / 8] ^= 1 << (bit % 8)
                let opened = open(cipher, bench, forged, counter: 9, at: 5)
                try #require(!opened.isAuthentic && opened.bytes == zeros, "bit \(bit) of \(count) bytes")
            }
            for bit in 0..<64 {
                let opened = open(cipher, bench, sealed, counter: 9 ^ 1 << bit, at: 5)
                try #require(!opened.isAuthentic, "counter bit \(bit)")
            }
            for place in 0..<16 {
                let cell = bench.header + place
                cell.storeBytes(of: cell.load(as: UInt8.self) ^ 4, as: UInt8.self)
                let opened = open(cipher, bench, sealed, counter: 9, at: 5)
                try #require(!opened.isAuthentic, "header byte \(place)")
                cell.storeBytes(of: cell.load(as: UInt8.self) ^ 4, as: UInt8.self)
            }
            let opened = open(cipher, bench, sealed, counter: 9, at: 5)
            #expect(opened.isAuthentic)
        }
    }

    @Test("a cipher whose key is forgotten goes on with the next", arguments: BulkCipher.Provider.available)
    func forgetting(provider: BulkCipher.Provider) throws {
        let bench = Bench()
        let cipher = try BulkCipher.make(provider)
        bench.write(bench.random(16), to: bench.header)
        for counter in 0..<4 as Range<UInt64> {
            let plaintext = bench.random(100)
            let sealed = seal(cipher, bench, plaintext, counter: counter, from: 0, into: 1)
            cipher.forgetKey()
            let opened = open(cipher, bench, sealed, counter: counter, at: 0)
            #expect(opened.isAuthentic && opened.bytes == plaintext)
            cipher.forgetKey()
        }
    }

    @Test("threads with a cipher each do not disturb one another", arguments: BulkCipher.Provider.available)
    func threads(provider: BulkCipher.Provider) async throws {
        let faults = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let bench = Bench()
                    let cipher = try BulkCipher.make(provider)
                    let reference = BulkCipher.libsodium()
                    bench.write(bench.random(16), to: bench.header)
                    return (0..<500).count { round in
                        let plaintext = bench.random(round)
                        let counter = UInt64(round)
                        return seal(cipher, bench, plaintext, counter: counter, from: 0, into: nil)
                            != seal(reference, bench, plaintext, counter: counter, from: 0, into: nil)
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(faults == 0)
    }

    // MARK: - Proof and choice

    @Test("the self-test finds each way of being wrong")
    func selfTest() {
        // Fails to seal one length.
        let gaps = BulkCipher(
            provider: .openssl,
            seal: { _, destination, source, count, header, headerCount, nonce, key in
                let sodium = BulkCipher.libsodium()
                return sodium.sealFunction(nil, destination, source, count, header, headerCount, nonce, key)
                    && count != 4095
            },
            open: { _, bytes, count, header, headerCount, nonce, key in
                BulkCipher.libsodium().openFunction(nil, bytes, count, header, headerCount, nonce, key)
            }
        )
        // Flips a bit of one length.
        let flips = BulkCipher(
            provider: .openssl,
            seal: { _, destination, source, count, header, headerCount, nonce, key in
                let sodium = BulkCipher.libsodium()
                let isSealed = sodium.sealFunction(nil, destination, source, count, header, headerCount, nonce, key)
                let last = destination + count
                if count == 257 { last.storeBytes(of: last.load(as: UInt8.self) ^ 1, as: UInt8.self) }
                return isSealed
            },
            open: { _, bytes, count, header, headerCount, nonce, key in
                BulkCipher.libsodium().openFunction(nil, bytes, count, header, headerCount, nonce, key)
            }
        )
        // Accepts anything.
        let trusts = BulkCipher(
            provider: .openssl,
            seal: { _, destination, source, count, header, headerCount, nonce, key in
                BulkCipher.libsodium().sealFunction(nil, destination, source, count, header, headerCount, nonce, key)
            },
            open: { _, bytes, count, header, headerCount, nonce, key in
                _ = BulkCipher.libsodium().openFunction(nil, bytes, count, header, headerCount, nonce, key)
                return true
            }
        )
        // Shows what it refuses.
        let shows = BulkCipher(
            provider: .openssl,
            seal: { _, destination, source, count, header, headerCount, nonce, key in
                BulkCipher.libsodium().sealFunction(nil, destination, source, count, header, headerCount, nonce, key)
            },
            open: { _, bytes, count, header, headerCount, nonce, key in
                let isAuthentic =
                    BulkCipher.libsodium().openFunction(nil, bytes, count, header, headerCount, nonce, key)
                if !isAuthentic, count > 0 { bytes.storeBytes(of: 1, as: UInt8.self) }
                return isAuthentic
            }
        )
        let sound = CipherTrial.refusal(of: BulkCipher.libsodium())?.what
        #expect(sound == nil)
        let faults = [
            (CipherTrial.refusal(of: gaps)?.what, "sealing gives other bytes at 4095 bytes"),
            (CipherTrial.refusal(of: flips)?.what, "sealing gives other bytes at 257 bytes"),
            (CipherTrial.refusal(of: trusts)?.what, "another counter is accepted"),
            (CipherTrial.refusal(of: shows)?.what, "not wiped"),
        ]
        for (found, fault) in faults { #expect(found?.contains(fault) == true, "\(fault)") }
    }

    @Test("libsodium and OpenSSL are always there; a provider that is not says why and how to mend it")
    func availability() {
        #expect(BulkCipher.Provider.available.starts(with: [.libsodium, .openssl]))
        if let refusal = BulkCipher.Provider.ipsecMB.refusal {
            #expect(!refusal.what.isEmpty && refusal.mend.contains("install"))
        }
        #if VX_IPSEC_MB
            #expect(throws: BulkCipher.Refusal.self) { try IPSecMBLibrary(name: "libIPSec_MB.so.none") }
            // There, and not that library.
            #expect(throws: BulkCipher.Refusal.self) { try IPSecMBLibrary(name: "libc.so.6") }
        #endif
    }

    @Test("auto takes the provider whose rounds are the shortest; a named one is taken unmeasured")
    func selection() throws {
        let available = BulkCipher.Provider.available
        for fastest in available {
            // Two readings a round; every provider's round takes 10 µs of this clock, the fastest one's 5 µs.
            let place = try #require(available.firstIndex(of: fastest))
            var readings = 0
            var time: UInt64 = 0
            let choice = try CipherSelection(nil) {
                let isEnd = readings % 2 == 1
                let current = readings / 2 / CipherSelection.rounds
                readings += 1
                if isEnd { time += current == place ? 5_000 : 10_000 }
                return Instant(nanoseconds: time)
            }
            #expect(choice.provider == fastest)
            #expect(choice.costs.map(\.provider) == available)
            #expect(choice.refusals.map(\.provider) == BulkCipher.Provider.allCases.filter { !available.contains($0) })
            let named = try CipherSelection(fastest) {
                Issue.record("measured")
                return Instant(nanoseconds: 0)
            }
            #expect(named.provider == fastest)
        }
    }
}
