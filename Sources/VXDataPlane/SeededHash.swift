/// Spreads keys that peers choose over a table: without the seed nobody finds keys that fall together.
struct SeededHash {
    private let multiplier: UInt64

    /// - Parameter seed: anything that peers can't know.
    init(_ seed: UInt64) { multiplier = seed | 1 }

    /// 24 bits, of which the caller takes as many as its table has places.
    @inline(__always)
    func callAsFunction(_ key: UInt64) -> Int {
        let mixed = key &* multiplier
        return Int(truncatingIfNeeded: ((mixed ^ mixed &>> 32) &* 0x9e37_79b9_7f4a_7c15) &>> 40)
    }
}
