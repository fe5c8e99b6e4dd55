/// What a provider must show before it may touch a frame: the bytes that libsodium gives, both ways, and that it refuses
/// what was tampered with.
enum CipherTrial {
    /// Every length up to where all code for wide registers has had its turn, then those round larger powers of two, of
    /// usual datagrams, and of the largest that underlays of 9000 bytes carry.
    static let lengths =
        Array(0...320) + [511, 512, 513, 1023, 1025, 1372, 1420, 1500, 2047, 2049, 4095, 4097, 8191, 8192]
    private static let mostBytes = 8192

    /// Why the cipher may not be used; nil when all is well.
    static func refusal(of cipher: borrowing BulkCipher) -> BulkCipher.Refusal? {
        let reference = BulkCipher.libsodium()
        var bench = Bench(mostBytes: mostBytes)
        for count in lengths {
            bench.prepare(count: count)
            if let fault = bench.fault(of: cipher, against: reference, count: count) {
                return BulkCipher.Refusal(
                    cipher.provider,
                    "its self-test fails: \(fault) at \(count) bytes",
                    "report this with the library's version, and set cipher: auto"
                )
            }
        }
        return nil
    }

    /// Buffers of one trial. Their keys and texts are no secrets.
    private struct Bench: ~Copyable {
        private let key: UnsafeMutablePointer<UInt8>
        private let header: UnsafeMutableRawPointer
        private let plaintext: UnsafeMutableRawPointer
        private let expected: UnsafeMutableRawPointer
        private let output: UnsafeMutableRawPointer
        private var state: UInt64 = 1
        private var counter: UInt64 = 0

        init(mostBytes: Int) {
            let size = mostBytes + BulkCipher.tagLength
            key = .allocate(capacity: 32)
            header = .allocate(byteCount: BulkCipher.headerLength, alignment: 1)
            // One byte off any alignment, for source and destination alike.
            plaintext = .allocate(byteCount: size + 1, alignment: 64) + 1
            expected = .allocate(byteCount: size, alignment: 64)
            output = .allocate(byteCount: size + 3, alignment: 64) + 3
        }

        deinit {
            key.deallocate()
            header.deallocate()
            (plaintext - 1).deallocate()
            expected.deallocate()
            (output - 3).deallocate()
        }

        /// Fills everything anew. The multiplier is Knuth's (MMIX).
        mutating func prepare(count: Int) {
            func fill(_ memory: UnsafeMutableRawPointer, _ count: Int) {
                for place in 0..<count {
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    memory.storeBytes(of: UInt8(truncatingIfNeeded: state >> 56), toByteOffset: place, as: UInt8.self)
                }
            }
            fill(UnsafeMutableRawPointer(key), 32)
            fill(header, BulkCipher.headerLength)
            fill(plaintext, count)
            counter = state
        }

        func fault(of cipher: borrowing BulkCipher, against reference: borrowing BulkCipher, count: Int) -> String? {
            let key = TransportKey(UnsafePointer(key))
            let whole = count + BulkCipher.tagLength
            func seal(_ cipher: borrowing BulkCipher, into target: UnsafeMutableRawPointer) -> Bool {
                cipher.seal(into: target, from: plaintext, count: count, header: header, counter: counter, key: key)
            }
            func open(_ counter: UInt64) -> Bool {
                cipher.open(inPlace: output, count: count, header: header, counter: counter, key: key)
            }
            func isEqual(_ left: UnsafeMutableRawPointer, _ right: UnsafeMutableRawPointer, _ count: Int) -> Bool {
                UnsafeRawBufferPointer(start: left, count: count)
                    .elementsEqual(UnsafeRawBufferPointer(start: right, count: count))
            }
            guard seal(reference, into: expected) else { return "libsodium seals nothing" }
            guard seal(cipher, into: output), isEqual(output, expected, whole) else {
                return "sealing gives other bytes"
            }
            guard open(counter), isEqual(output, plaintext, count) else { return "opening gives other bytes" }
            output.copyMemory(from: plaintext, byteCount: count)
            let isSealed = cipher.seal(
                into: output,
                from: output,
                count: count,
                header: header,
                counter: counter,
                key: key
            )
            guard isSealed, isEqual(output, expected, whole) else { return "sealing in place gives other bytes" }
            guard !open(counter ^ 1) else { return "another counter is accepted" }
            guard isWiped(count) else { return "what was refused is not wiped" }
            for place in [0, count, whole - 1] {
                output.copyMemory(from: expected, byteCount: whole)
                output.storeBytes(
                    of: output.load(fromByteOffset: place, as: UInt8.self) ^ 0x80,
                    toByteOffset: place,
                    as: UInt8.self
                )
                guard !open(counter) else { return "a flipped bit is accepted" }
                guard isWiped(count) else { return "what was refused is not wiped" }
            }
            return nil
        }

        private func isWiped(_ count: Int) -> Bool {
            UnsafeRawBufferPointer(start: output, count: count).allSatisfy { $0 == 0 }
        }
    }
}
