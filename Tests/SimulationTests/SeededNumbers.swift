import Synchronization
import VXCrypto
import VXHandshake

/// A repeatable source of numbers (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// True in `count` of 1000 cases.
    mutating func chance(_ count: Int) -> Bool { Int.random(in: 0..<1000, using: &self) < count }
}

/// The randomness of one simulation's handshakes, which a seed repeats: keys, indices and jitter decide what happens; the
/// handshakes' ephemerals don't, and stay the kernel's.
final class SeededRandomness: Sendable {
    private let numbers: Mutex<SeededNumbers>

    init(seed: UInt64) { numbers = Mutex(SeededNumbers(state: ~seed)) }

    func number(below bound: UInt32) -> UInt32 {
        bound == 0 ? 0 : numbers.withLock { UInt32.random(in: 0..<bound, using: &$0) }
    }

    func keyPair() -> StaticKeyPair {
        StaticKeyPair(secret: SecretBytes(copying: (0..<32).map { _ in UInt8(number(below: 256)) }))
    }

    var handshake: HandshakeRandomness {
        HandshakeRandomness(
            secrets: { .random() },
            number: { [self] in number(below: .max) },
            below: { [self] in number(below: $0) }
        )
    }
}
