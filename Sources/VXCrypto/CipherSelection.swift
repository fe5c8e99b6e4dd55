public import VXWire

/// Which provider a node's lanes use, and why not another.
public struct CipherSelection: Sendable {
    /// The one in use.
    public let provider: BulkCipher.Provider
    /// What sealing and opening a datagram cost, of every provider that was measured.
    public let costs: [Cost]
    /// The providers that may not be used here.
    public let refusals: [BulkCipher.Refusal]

    /// One provider's measurement.
    public struct Cost: Sendable {
        /// Whose.
        public let provider: BulkCipher.Provider
        /// To seal and open one datagram, on average over small and full ones.
        public let perDatagram: Interval
    }

    /// Takes `wanted`, or of all providers that prove themselves the one that a short measurement finds the fastest.
    /// - Parameters:
    ///   - wanted: nil for `auto`.
    ///   - clock: a clock that runs on while the measurement does, about 1 ms a provider.
    /// - Throws: when `wanted` is refused.
    public init(_ wanted: BulkCipher.Provider?, clock: () -> Instant) throws(BulkCipher.Refusal) {
        if let wanted {
            if let refusal = wanted.refusal { throw refusal }
            provider = wanted
            costs = []
            refusals = []
            return
        }
        var costs: [Cost] = []
        var refusals: [BulkCipher.Refusal] = []
        for provider in BulkCipher.Provider.allCases {
            do {
                let cipher = try BulkCipher.make(provider)
                costs.append(Cost(provider: provider, perDatagram: Self.measure(cipher, clock: clock)))
            } catch {
                refusals.append(error)
            }
        }
        // libsodium is never refused, so there is a least.
        provider = costs.min { $0.perDatagram < $1.perDatagram }?.provider ?? .libsodium
        self.costs = costs
        self.refusals = refusals
    }

    /// Rounds of a measurement; the fastest counts, since whatever interrupts a round only makes it longer.
    static let rounds = 8
    private static let pairsPerRound = 16
    /// A frame of a few bytes, and a full one on an underlay of 1500.
    private static let sizes = [80, 1420]

    private static func measure(_ cipher: borrowing BulkCipher, clock: () -> Instant) -> Interval {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 1420 + BulkCipher.tagLength, alignment: 64)
        let header = UnsafeMutableRawPointer.allocate(byteCount: BulkCipher.headerLength, alignment: 16)
        let key = UnsafeMutablePointer<UInt8>.allocate(capacity: 32)
        defer {
            bytes.deallocate()
            header.deallocate()
            key.deallocate()
        }
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: 1420 + BulkCipher.tagLength)
        header.initializeMemory(as: UInt8.self, repeating: 0, count: BulkCipher.headerLength)
        key.initialize(repeating: 0, count: 32)
        var best = Interval(nanoseconds: .max)
        for _ in 0..<rounds {
            let start = clock()
            for counter in 0..<UInt64(pairsPerRound) {
                for count in sizes {
                    let key = TransportKey(UnsafePointer(key))
                    _ = cipher.seal(into: bytes, from: bytes, count: count, header: header, counter: counter, key: key)
                    _ = cipher.open(inPlace: bytes, count: count, header: header, counter: counter, key: key)
                }
            }
            best = min(best, clock().since(start))
        }
        return Interval(nanoseconds: best.nanoseconds / UInt64(pairsPerRound * sizes.count))
    }
}
