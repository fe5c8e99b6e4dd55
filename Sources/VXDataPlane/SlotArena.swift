/// Equal pieces of one allocation, taken in turn and given back all at once.
struct SlotArena: ~Copyable {
    private let base: UnsafeMutableRawPointer
    let slotSize: Int
    private let slotCount: Int
    private var taken = 0

    init(slotSize: Int, slotCount: Int) {
        self.slotSize = (slotSize + 63) / 64 * 64
        self.slotCount = slotCount
        base = .allocate(byteCount: self.slotSize * slotCount, alignment: 64)
    }

    deinit { base.deallocate() }

    @inline(__always)
    var room: Int { slotCount &- taken }

    @inline(__always)
    mutating func take() -> UnsafeMutableRawPointer {
        precondition(taken < slotCount, "an arena was asked for more slots than it has")
        defer { taken &+= 1 }
        return base + taken &* slotSize
    }

    mutating func giveBackAll() { taken = 0 }
}
