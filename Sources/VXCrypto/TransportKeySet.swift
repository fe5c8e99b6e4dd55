import CSodium

/// One lane's 32-byte key in one direction, borrowed from the `TransportKeySet` that must outlive it.
public struct TransportKey: @unchecked Sendable {
    @usableFromInline let bytes: UnsafePointer<UInt8>

    init(_ bytes: UnsafePointer<UInt8>) { self.bytes = bytes }
}

/// The keys of all lanes of one pair, both directions, side by side in guarded, read-only memory; wiped with the last
/// reference.
public final class TransportKeySet: @unchecked Sendable {
    private static let keyLength = 32
    private let secret: SecretBytes
    /// How many lanes this node sends on.
    public let sendLanes: Int
    /// How many lanes the peer sends on.
    public let receiveLanes: Int

    /// Derives every lane's key (protocol.md, 2): HMAC-BLAKE2b(k, "vxseal/1 lane" || L), first 32 bytes.
    /// - Parameters:
    ///   - send: the 32-byte Noise key of the sending direction.
    ///   - receive: the 32-byte Noise key of the receiving direction.
    ///   - sendLanes: 1 to 16.
    ///   - receiveLanes: 1 to 16.
    public init(send: UnsafeRawBufferPointer, receive: UnsafeRawBufferPointer, sendLanes: Int, receiveLanes: Int) {
        precondition((1...16).contains(sendLanes) && (1...16).contains(receiveLanes), "lane counts are 1 to 16")
        self.sendLanes = sendLanes
        self.receiveLanes = receiveLanes
        secret = SecretBytes(count: (sendLanes + receiveLanes) * Self.keyLength) { all in
            withUnsafeTemporaryAllocation(byteCount: BLAKE2b.length, alignment: 16) { code in
                for place in 0..<sendLanes + receiveLanes {
                    let isSend = place < sendLanes
                    let label = Array("vxseal/1 lane".utf8) + [UInt8(isSend ? place : place - sendLanes)]
                    label.withUnsafeBytes { label in
                        HMACBLAKE2b.authenticate(key: isSend ? send : receive, label, into: code)
                    }
                    UnsafeMutableRawBufferPointer(rebasing: all[(place * Self.keyLength)...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: code[0..<Self.keyLength]))
                }
                sodium_memzero(code.cells, code.count)
            }
        }
    }

    private func key(at place: Int) -> TransportKey {
        let base = secret.withBytes { $0 }
        guard let start = base.baseAddress else { preconditionFailure("guarded memory has an address") }
        return TransportKey((start + place * Self.keyLength).assumingMemoryBound(to: UInt8.self))
    }

    /// The key this node seals lane `lane` with.
    public func sendKey(lane: Int) -> TransportKey {
        precondition(lane < sendLanes, "a lane beyond those announced")
        return key(at: lane)
    }

    /// The key that opens the peer's lane `lane`.
    public func receiveKey(lane: Int) -> TransportKey {
        precondition(lane < receiveLanes, "a lane beyond those announced")
        return key(at: sendLanes + lane)
    }
}
