import VXCrypto
import VXWire

/// The outer layout of initiation and response (protocol.md, 2): type, three reserved bytes, indices, Noise part, mac1,
/// mac2.
enum HandshakeMessage {
    private static let macLength = 16

    /// mac1's key for messages to the holder of `key`.
    static func mac1Key(for key: PublicKey) -> [UInt8] {
        BLAKE2b.hash(HandshakeConstants.mac1Label + key.bytes, length: 32)
    }

    private static func seal(_ body: [UInt8], mac1Key: [UInt8]) -> [UInt8] {
        let mac1 = BLAKE2b.hash(body, length: macLength, key: mac1Key)
        // mac2 is zero as long as the peer has given no cookie.
        return body + mac1 + [UInt8](repeating: 0, count: macLength)
    }

    static func initiation(sender: ReceiverIndex, noise: [UInt8], mac1Key: [UInt8]) -> [UInt8] {
        seal([MessageType.initiation.rawValue, 0, 0, 0] + bigEndianBytes(sender.rawValue) + noise, mac1Key: mac1Key)
    }

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

    /// A message cut up, its mac1 checked and nothing else.
    struct Parsed {
        let type: MessageType
        let sender: ReceiverIndex
        /// Of a response only.
        let receiver: ReceiverIndex
        let noise: [UInt8]
    }

    /// Everything that can be said of a message without Diffie-Hellman.
    static func parse(_ message: [UInt8], mac1Key: [UInt8]) throws(DropError) -> Parsed {
        guard let first = message.first else { throw DropError(.malformed) }
        guard let type = MessageType(rawValue: first) else { throw DropError(.unknownMessage) }
        guard type != .transport else { throw DropError(.unknownReceiver) }
        guard message.count == type.size else { throw DropError(.malformed) }
        guard message[1] == 0, message[2] == 0, message[3] == 0 else { throw DropError(.reservedNotZero) }
        guard type != .cookieReply else { throw DropError(.cookieUnsupported) }
        let covered = message.count - 2 * macLength
        let mac1 = BLAKE2b.hash(Array(message[..<covered]), length: macLength, key: mac1Key)
        guard HandshakeCipher.areEqual(mac1, Array(message[covered..<covered + macLength])) else {
            throw DropError(.invalidMac1)
        }
        func index(at offset: Int) -> ReceiverIndex {
            ReceiverIndex(message[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) })
        }
        let isResponse = type == .response
        return Parsed(
            type: type,
            sender: index(at: 4),
            receiver: isResponse ? index(at: 8) : ReceiverIndex(0),
            noise: Array(message[(isResponse ? 12 : 8)..<covered])
        )
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
        guard (1...HandshakeConstants.mostLanes).contains(bytes[0]), bytes[1] == 0 else {
            throw DropError(.invalidPayload)
        }
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
