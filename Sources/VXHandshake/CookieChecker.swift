import VXCrypto
import VXWire

/// The responder's defence against floods (protocol.md, 3): who may make it work, and who gets a cookie first.
///
/// Bounded whatever arrives: one secret and its predecessor, and two tables of fixed size. Nothing is kept of a stranger.
struct CookieChecker {
    /// What an initiation whose mac1 fits deserves.
    enum Verdict {
        /// The Diffie-Hellman work.
        case work
        /// A cookie reply.
        case cookie
        /// Nothing: its prefix has had enough.
        case drop
    }

    private let rate = PrefixRate()
    private let provenRate = PrefixRate()
    private var secret: [UInt8] = Self.newSecret()
    private var previous: [UInt8]?
    private var renewedAt: Instant?

    private static func newSecret() -> [UInt8] { (0..<8).flatMap { _ in bigEndianBytes(Random.number()) } }

    /// Decides over an initiation.
    ///
    /// An address that has not been proven by a cookie may be anyone's, so a flood that uses it up costs its owner no more
    /// than a round trip: with the cookie it counts in a table that a flood of forged sources can't fill.
    mutating func judge(_ message: HandshakeMessage.Parsed, from source: Endpoint, isUnderLoad: Bool, now: Instant)
        -> Verdict
    {
        renew(now: now)
        if isProven(message, from: source) { return provenRate.admits(source.address, now: now) ? .work : .drop }
        let isWithinRate = rate.admits(source.address, now: now)
        return isUnderLoad || !isWithinRate ? .cookie : .work
    }

    /// The reply to an initiation: its cookie, for its sender and for the one who saw its mac1 alone.
    mutating func reply(to message: HandshakeMessage.Parsed, from source: Endpoint, cookieKey: [UInt8], now: Instant)
        -> [UInt8]
    {
        renew(now: now)
        let cookie = Self.cookie(for: source, secret: secret)
        let (nonce, sealed) = CookieCipher.seal(cookie, key: cookieKey, associatedData: message.mac1)
        return HandshakeMessage.cookieReply(receiver: message.sender, nonce: nonce, sealed: sealed)
    }

    private mutating func renew(now: Instant) {
        guard let renewed = renewedAt else {
            renewedAt = now
            return
        }
        let age = now.since(renewed)
        guard age >= HandshakeConstants.cookieSecretTime else { return }
        previous = age < HandshakeConstants.cookieSecretTime + HandshakeConstants.cookieSecretTime ? secret : nil
        secret = Self.newSecret()
        renewedAt = now
    }

    private func isProven(_ message: HandshakeMessage.Parsed, from source: Endpoint) -> Bool {
        guard message.mac2.contains(where: { $0 != 0 }) else { return false }
        return [secret, previous].compactMap(\.self).contains { secret in
            let expected = HandshakeMessage.mac2(message.covered, cookie: Self.cookie(for: source, secret: secret))
            return HandshakeCipher.areEqual(expected, message.mac2)
        }
    }

    private static func cookie(for source: Endpoint, secret: [UInt8]) -> [UInt8] {
        let address = source.address.mapped
        let place = bigEndianBytes(address.high) + bigEndianBytes(address.low) + bigEndianBytes(source.port)
        return BLAKE2b.hash(place, length: HandshakeMessage.macLength, key: secret)
    }
}

/// Token buckets of source prefixes, /32 or /64: 20 a second, 5 at once. Prefixes share a fixed number of buckets by a
/// keyed hash, so that memory is bounded and nobody can aim at another's bucket.
final class PrefixRate {
    private struct Bucket {
        /// In thousandths of an initiation.
        var tokens: UInt32
        /// Milliseconds since boot, which may wrap after 49 days: a bucket is then full a moment too early.
        var filledAt: UInt32
    }

    private static let bucketCount = 1 << 14
    private let key: UInt64
    private var buckets: [Bucket]

    init() {
        key = UInt64(Random.number()) << 32 | UInt64(Random.number()) | 1
        let full = Bucket(tokens: HandshakeConstants.initiationBurst * 1000, filledAt: 0)
        buckets = Array(repeating: full, count: Self.bucketCount)
    }

    /// Whether the prefix of an address has a token, which is then gone.
    func admits(_ address: IPAddress, now: Instant) -> Bool {
        let milliseconds = UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000)
        let place = self.place(of: address)
        let elapsed = UInt64(milliseconds &- buckets[place].filledAt)
        let gained = elapsed * UInt64(HandshakeConstants.initiationsPerSecond)
        let most = UInt64(HandshakeConstants.initiationBurst) * 1000
        let tokens = min(UInt64(buckets[place].tokens) + gained, most)
        let isAdmitted = tokens >= 1000
        buckets[place] = Bucket(tokens: UInt32(isAdmitted ? tokens - 1000 : tokens), filledAt: milliseconds)
        return isAdmitted
    }

    private func place(of address: IPAddress) -> Int {
        var mixed: UInt64 =
            switch address {
            case .v4(let address): UInt64(address.rawValue)
            case .v6(let address): ~address.high
            }
        // Two rounds of multiplication by a secret odd number, folded: without the key nobody finds two that meet.
        for _ in 0..<2 {
            let product = mixed.multipliedFullWidth(by: key)
            mixed = product.high ^ product.low &+ key
        }
        return Int(truncatingIfNeeded: mixed >> 32) & (Self.bucketCount - 1)
    }
}

/// A cookie that a peer gave, for mac2 of what is sent to it next.
struct ReceivedCookie {
    let cookie: [UInt8]
    let receivedAt: Instant

    /// The peer may have renewed its secret twice after this.
    func isFresh(at now: Instant) -> Bool { now.since(receivedAt) < HandshakeConstants.cookieSecretTime }
}
