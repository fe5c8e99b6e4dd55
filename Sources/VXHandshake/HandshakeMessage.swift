import VXCrypto
import VXWire

/// The outer layout of initiation, response and cookie reply (protocol.md, 2 and 3).
enum HandshakeMessage {
    static let macLength = 16

    /// mac1's key for messages to the holder of `key`.
    static func mac1Key(for key: PublicKey) -> [UInt8] {
        BLAKE2b.hash(HandshakeConstants.mac1Label + key.bytes, length: 32)
    }

    /// The key of cookie replies from the holder of `key`.
    static func cookieKey(for key: PublicKey) -> [UInt8] {
        BLAKE2b.hash(HandshakeConstants.cookieLabel + key.bytes, length: 32)
    }

    /// mac2 of everything before it.
    static func mac2(_ message: [UInt8], cookie: [UInt8]) -> [UInt8] {
        BLAKE2b.hash(message, length: macLength, key: cookie)
    }

    /// A message without its macs, with both behind it; mac2 is zero without a cookie.
    private static func seal(_ body: [UInt8], mac1Key: [UInt8], cookie: [UInt8]? = nil) -> [UInt8] {
        let covered = body + BLAKE2b.hash(body, length: macLength, key: mac1Key)
        return covered + (cookie.map { mac2(covered, cookie: $0) } ?? [UInt8](repeating: 0, count: macLength))
    }

    static func initiation(sender: ReceiverIndex, noise: [UInt8], mac1Key: [UInt8], cookie: [UInt8]?) -> [UInt8] {
        let body = [MessageType.initiation.rawValue, 0, 0, 0] + bigEndianBytes(sender.rawValue) + noise
        return seal(body, mac1Key: mac1Key, cookie: cookie)
    }

    /// A response; nobody asks a cookie for it, since it needs a pending index.
    static func response(
        sender: ReceiverIndex,
        receiver: ReceiverIndex,
        noise: [UInt8],
        mac1Key: [UInt8]
    ) -> [UInt8] {
        seal(
            [MessageType.response.rawValue, 0, 0, 0] + bigEndianBytes(sender.rawValue)
                + bigEndianBytes(receiver.rawValue) + noise,
            mac1Key: mac1Key
        )
    }

    static func cookieReply(receiver: ReceiverIndex, nonce: [UInt8], sealed: [UInt8]) -> [UInt8] {
        [MessageType.cookieReply.rawValue, 0, 0, 0] + bigEndianBytes(receiver.rawValue) + nonce + sealed
    }

    /// mac1 of a message that this node made.
    static func mac1(of message: [UInt8]) -> [UInt8] { Array(message.suffix(2 * macLength).prefix(macLength)) }

    /// Everything that can be said of a message without Diffie-Hellman.
    enum Incoming {
        case initiation(Parsed)
        case response(Parsed)
        case cookieReply(receiver: ReceiverIndex, nonce: [UInt8], sealed: [UInt8])
    }

    /// An initiation or a response cut up, its mac1 checked and nothing else.
    struct Parsed {
        let sender: ReceiverIndex
        /// Of a response only.
        let receiver: ReceiverIndex
        let noise: [UInt8]
        /// Everything before mac2.
        let covered: [UInt8]
        let mac2: [UInt8]
        /// Which of the node's keys mac1 was made for, as a place in the list that `parse` was given.
        let keyPlace: Int

        var mac1: [UInt8] { Array(covered.suffix(macLength)) }
    }

    /// Reads a datagram of any length. During a rotation of the identity there are two keys that mac1 may be made for.
    static func parse(_ message: [UInt8], mac1Keys: [[UInt8]]) throws(DropError) -> Incoming {
        guard let first = message.first else { throw DropError(.malformed) }
        guard let type = MessageType(rawValue: first) else { throw DropError(.unknownMessage) }
        guard type != .transport else { throw DropError(.unknownReceiver) }
        guard message.count == type.size else { throw DropError(.malformed) }
        guard message[1] == 0, message[2] == 0, message[3] == 0 else { throw DropError(.reservedNotZero) }
        func index(at offset: Int) -> ReceiverIndex {
            ReceiverIndex(message[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) })
        }
        if type == .cookieReply {
            let nonceEnd = 8 + CookieCipher.nonceLength
            return .cookieReply(
                receiver: index(at: 4),
                nonce: Array(message[8..<nonceEnd]),
                sealed: Array(message[nonceEnd...])
            )
        }
        let end = message.count - 2 * macLength
        let body = Array(message[..<end])
        let mac1 = Array(message[end..<end + macLength])
        let keyPlace = mac1Keys.firstIndex { key in
            HandshakeCipher.areEqual(BLAKE2b.hash(body, length: macLength, key: key), mac1)
        }
        guard let keyPlace else { throw DropError(.invalidMac1) }
        let isResponse = type == .response
        let parsed = Parsed(
            sender: index(at: 4),
            receiver: isResponse ? index(at: 8) : ReceiverIndex(0),
            noise: Array(body[(isResponse ? 12 : 8)...]),
            covered: body + mac1,
            mac2: Array(message[(end + macLength)...]),
            keyPlace: keyPlace
        )
        return isResponse ? .response(parsed) : .initiation(parsed)
    }
}

/// Why a message from the network is dropped.
struct DropError: Error {
    let reason: DropReason

    init(_ reason: DropReason) { self.reason = reason }
}

/// The initiation's payload: timestamp (12), lanes, PSK generation, features, reserved.
struct InitiationPayload {
    let timestamp: TAI64N
    let lanes: UInt8
    let generation: UInt8
    let features: UInt8

    var bytes: [UInt8] {
        bigEndianBytes(timestamp.seconds) + bigEndianBytes(timestamp.nanoseconds) + [lanes, generation, features, 0]
    }
}

extension InitiationPayload {
    init(_ bytes: [UInt8]) throws(DropError) {
        guard bytes.count == 16 else { throw DropError(.malformed) }
        guard bytes[15] == 0 else { throw DropError(.reservedNotZero) }
        guard (1...HandshakeConstants.mostLanes).contains(bytes[12]) else { throw DropError(.invalidPayload) }
        timestamp = TAI64N(
            seconds: bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) },
            nanoseconds: bytes[8..<12].reduce(0) { $0 << 8 | UInt32($1) }
        )
        lanes = bytes[12]
        generation = bytes[13]
        features = bytes[14]
    }
}

/// The response's payload: lanes, PSK generation, features, reserved, the initiator's address and port as the responder
/// saw them, two reserved bytes.
struct ResponsePayload {
    let lanes: UInt8
    let generation: UInt8
    let features: UInt8
    let observed: Endpoint

    var bytes: [UInt8] {
        let address = observed.address.mapped
        let head: [UInt8] = [lanes, generation, features, 0]
        return head + bigEndianBytes(address.high) + bigEndianBytes(address.low) + bigEndianBytes(observed.port) + [
            0, 0,
        ]
    }
}

extension ResponsePayload {
    init(_ bytes: [UInt8]) throws(DropError) {
        guard bytes.count == 24 else { throw DropError(.malformed) }
        guard bytes[3] == 0, bytes[22] == 0, bytes[23] == 0 else { throw DropError(.reservedNotZero) }
        guard (1...HandshakeConstants.mostLanes).contains(bytes[0]) else { throw DropError(.invalidPayload) }
        lanes = bytes[0]
        generation = bytes[1]
        features = bytes[2]
        let address = IPv6Address(
            high: bytes[4..<12].reduce(0) { $0 << 8 | UInt64($1) },
            low: bytes[12..<20].reduce(0) { $0 << 8 | UInt64($1) }
        )
        observed = Endpoint(address: IPAddress(mapped: address), port: UInt16(bytes[20]) << 8 | UInt16(bytes[21]))
    }
}

/// A number as it stands on the wire.
func bigEndianBytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> Number($0)) }
}
