import Synchronization

/// What became of a record that was to be put into a ring.
enum RingPush {
    /// It is there, and the reader knows or will look.
    case stored
    /// It is there, and the reader may be asleep.
    case storedAfterSilence
    /// No room.
    case full
}

/// Where writers and readers of rings are, each on a cache line of its own.
enum RingPositions {
    /// Of a cache line, in bytes.
    static var alignment: Int { 64 }
    /// Positions between those of one ring and the next.
    static var perRing: Int { 2 &* alignment / MemoryLayout<Atomic<Int>>.stride }

    /// Those of so many rings, all zero.
    static func make(rings: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        let count = rings * perRing
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * alignment * rings, alignment: alignment)
        let all = memory.bindMemory(to: Atomic<Int>.self, capacity: count)
        for place in 0..<count { (all + place).initialize(to: Atomic(0)) }
        return all
    }
}

/// Records with a head and some bytes each, in memory with one writer and one reader: copied in, and read where they stand.
/// Nothing is allocated after the start, nobody waits, and what does not fit is refused.
///
/// A record is its length, its head and, behind them at the next multiple of 64, its bytes, rounded up to 64; one that would
/// reach beyond the end of the memory starts over at its beginning. Positions only rise; their remainder is the place.
struct RecordRing<Head>: @unchecked Sendable {
    /// A record in the ring; its bytes stay until `release`.
    struct Record {
        let head: Head
        let base: UnsafeMutableRawPointer
        let count: Int
    }

    private static var headOffset: Int { MemoryLayout<Int>.size }
    private static var headSize: Int { aligned(headOffset &+ MemoryLayout<Head>.size) }

    @inline(__always)
    private static func aligned(_ size: Int) -> Int {
        (size &+ RingPositions.alignment &- 1) & ~(RingPositions.alignment &- 1)
    }

    private let memory: UnsafeMutableRawPointer
    private let capacity: Int
    /// Where the writer is, and on a cache line of its own where the reader is.
    private let written: UnsafeMutablePointer<Atomic<Int>>
    private let released: UnsafeMutablePointer<Atomic<Int>>

    /// - Parameters:
    ///   - memory: `capacity` bytes, aligned to 64, which outlive this.
    ///   - capacity: a power of two.
    ///   - positions: those of one ring, at zero, which outlive this.
    init(memory: UnsafeMutableRawPointer, capacity: Int, positions: UnsafeMutablePointer<Atomic<Int>>) {
        self.memory = memory
        self.capacity = capacity
        written = positions
        released = positions + RingPositions.perRing / 2
    }

    /// Copies a record in; only the writing thread.
    @inline(__always)
    func push(_ bytes: UnsafeRawPointer, count: Int, head: Head) -> RingPush {
        let start = written.pointee.load(ordering: .relaxed)
        let place = start & (capacity &- 1)
        let size = Self.headSize &+ Self.aligned(count)
        let skipped = size > capacity &- place ? capacity &- place : 0
        guard capacity &- (start &- released.pointee.load(ordering: .acquiring)) >= skipped &+ size else {
            return .full
        }
        // Below zero: nothing more up to the end of the memory.
        if skipped > 0 { (memory + place).storeBytes(of: -1, as: Int.self) }
        let record = memory + (skipped > 0 ? 0 : place)
        record.storeBytes(of: count, as: Int.self)
        (record + Self.headOffset).initializeMemory(as: Head.self, to: head)
        (record + Self.headSize).copyMemory(from: bytes, byteCount: count)
        // The reader looks at `written` once more after it has stored `released`; this thread looks at `released` after it
        // has stored `written`. In one order of all four, at least one of the two sees the other.
        written.pointee.store(start &+ skipped &+ size, ordering: .sequentiallyConsistent)
        return released.pointee.load(ordering: .sequentiallyConsistent) == start ? .storedAfterSilence : .stored
    }

    /// The record at `position`, which moves behind it; nil when there is no more. Only the reading thread.
    func next(_ position: inout Int) -> Record? {
        let end = written.pointee.load(ordering: .sequentiallyConsistent)
        guard position < end else { return nil }
        var record = memory + (position & (capacity - 1))
        if record.load(as: Int.self) < 0 {
            position += capacity - position & (capacity - 1)
            record = memory
        }
        let count = record.load(as: Int.self)
        position += Self.headSize + Self.aligned(count)
        let head = (record + Self.headOffset).load(as: Head.self)
        return Record(head: head, base: record + Self.headSize, count: count)
    }

    /// Gives back everything before `position`. Only the reading thread, which calls `next` once more after it before it
    /// sleeps.
    func release(_ position: Int) { released.pointee.store(position, ordering: .sequentiallyConsistent) }
}
