import VXCrypto

/// One cipher, one key and one message.
final class CipherBench {
    private let cipher: BulkCipher
    private let keys: TransportKeySet
    private let size: Int
    private let message: UnsafeMutableRawPointer
    private let sealed: UnsafeMutableRawPointer
    private let header = UnsafeMutableRawPointer.allocate(byteCount: BulkCipher.headerLength, alignment: 16)

    init(_ provider: BulkCipher.Provider, size: Int) throws(BulkCipher.Refusal) {
        cipher = try .make(provider)
        self.size = size
        let secret = [UInt8](repeating: 7, count: 32)
        keys = secret.withUnsafeBytes { TransportKeySet(send: $0, receive: $0, sendLanes: 1, receiveLanes: 1) }
        message = .allocate(byteCount: size + BulkCipher.tagLength, alignment: 64)
        sealed = .allocate(byteCount: size + BulkCipher.tagLength, alignment: 64)
        message.initializeMemory(as: UInt8.self, repeating: 1, count: size + BulkCipher.tagLength)
        header.initializeMemory(as: UInt8.self, repeating: 2, count: BulkCipher.headerLength)
        _ = cipher.seal(
            into: sealed,
            from: message,
            count: size,
            header: header,
            counter: 9,
            key: keys.sendKey(lane: 0)
        )
    }

    deinit {
        message.deallocate()
        sealed.deallocate()
        header.deallocate()
    }

    /// Seals the message in place, as the packet path does.
    func seal(_ times: Int) {
        let key = keys.sendKey(lane: 0)
        for counter in 0..<times {
            _ = cipher.seal(
                into: message,
                from: message,
                count: size,
                header: header,
                counter: UInt64(counter),
                key: key
            )
        }
    }

    /// Copies the sealed message and opens the copy in place: a message can be opened once.
    func open(_ times: Int) {
        let key = keys.receiveKey(lane: 0)
        for _ in 0..<times {
            message.copyMemory(from: sealed, byteCount: size + BulkCipher.tagLength)
            let isAuthentic = cipher.open(inPlace: message, count: size, header: header, counter: 9, key: key)
            precondition(isAuthentic, "the message did not open")
        }
    }
}
