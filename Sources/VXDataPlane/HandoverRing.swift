import Synchronization
public import VXWire

/// Datagrams that one lane thread received and another owns: bytes in a ring with one writer and one reader, copied in and
/// opened where they stand. Nothing is allocated after the start, nobody waits, and what does not fit is refused.
///
/// A record is a `Head` and, 64 bytes behind it, the datagram, rounded up to 64 bytes; one that would reach beyond the end
/// of the memory starts over at its beginning. Positions only rise; their remainder is the place.
public struct HandoverRing: @unchecked Sendable {
    private struct Head {
        /// Below zero: nothing more up to the end of the memory.
        let count: Int
        let source: Endpoint
        let outerECN: UInt8
    }

    /// What became of a datagram that was to be handed over.
    enum Push {
        /// It is there, and the reader knows or will look.
        case stored
        /// It is there, and the reader may be asleep.
        case storedAfterSilence
        /// No room.
        case full
    }

    /// A datagram in the ring; its bytes stay until `release`.
    public struct Datagram {
        /// Its first byte.
        public let base: UnsafeMutableRawPointer
        /// Its length.
        public let count: Int
        /// Where it came from.
        public let source: Endpoint
        /// The ECN field of its IP header.
        public let outerECN: UInt8
    }

    static let alignment = 64

    private let memory: UnsafeMutableRawPointer
    private let capacity: Int
    /// Where the writer is, and on a cache line of its own where the reader is.
    private let written: UnsafeMutablePointer<Atomic<Int>>
    private let released: UnsafeMutablePointer<Atomic<Int>>

    /// - Parameters:
    ///   - memory: `capacity` bytes, aligned to 64, which outlive this.
    ///   - capacity: a power of two.
    ///   - positions: two cache lines, aligned to one, initialised to zeros.
    init(memory: UnsafeMutableRawPointer, capacity: Int, positions: UnsafeMutablePointer<Atomic<Int>>) {
        self.memory = memory
        self.capacity = capacity
        written = positions
        released = positions + Self.alignment / MemoryLayout<Atomic<Int>>.stride
    }

    /// Copies a datagram in; only the writing thread.
    @inline(__always)
    func push(_ datagram: UnsafeRawPointer, count: Int, source: Endpoint, outerECN: UInt8 = 0) -> Push {
        let start = written.pointee.load(ordering: .relaxed)
        let place = start & (capacity &- 1)
        let size = Self.alignment &+ (count &+ Self.alignment &- 1) / Self.alignment &* Self.alignment
        let skipped = size > capacity &- place ? capacity &- place : 0
        guard capacity &- (start &- released.pointee.load(ordering: .acquiring)) >= skipped &+ size else {
            return .full
        }
        if skipped > 0 { store(Head(count: -1, source: source, outerECN: 0), at: place) }
        let record = skipped > 0 ? 0 : place
        store(Head(count: count, source: source, outerECN: outerECN), at: record)
        (memory + record + Self.alignment).copyMemory(from: datagram, byteCount: count)
        // The reader looks at `written` once more after it has stored `released`; this thread looks at `released` after it
        // has stored `written`. In one order of all four, at least one of the two sees the other.
        written.pointee.store(start &+ skipped &+ size, ordering: .sequentiallyConsistent)
        return released.pointee.load(ordering: .sequentiallyConsistent) == start ? .storedAfterSilence : .stored
    }

    /// The datagram at `position`, which moves behind it; nil when there is no more. Only the reading thread.
    public func next(_ position: inout Int) -> Datagram? {
        let end = written.pointee.load(ordering: .sequentiallyConsistent)
        guard position < end else { return nil }
        var place = position & (capacity - 1)
        if head(at: place).count < 0 {
            position += capacity - place
            place = 0
        }
        let head = head(at: place)
        position += Self.alignment + (head.count + Self.alignment - 1) / Self.alignment * Self.alignment
        return Datagram(
            base: memory + place + Self.alignment,
            count: head.count,
            source: head.source,
            outerECN: head.outerECN
        )
    }

    /// Gives back everything before `position`. Only the reading thread, which calls `next` once more after it before it
    /// sleeps.
    public func release(_ position: Int) { released.pointee.store(position, ordering: .sequentiallyConsistent) }

    @inline(__always)
    private func store(_ head: Head, at place: Int) {
        (memory + place).storeBytes(of: head, as: Head.self)
    }

    private func head(at place: Int) -> Head { (memory + place).load(as: Head.self) }
}

/// The rings between all lane threads of a node.
public final class HandoverRings: @unchecked Sendable {
    /// Of one ring: a few runs of UDP_GRO.
    public static let usualCapacity = 256 << 10

    /// The node's lane threads.
    public let threads: Int
    private let capacity: Int
    private let memory: UnsafeMutableRawPointer
    private let positions: UnsafeMutableRawPointer
    private static let positionBytes = 2 * HandoverRing.alignment

    /// Empty rings.
    /// - Parameters:
    ///   - threads: the node's lane threads.
    ///   - capacity: bytes of each ring; a power of two, above 64 KiB so that any datagram fits.
    public init(threads: Int, capacity: Int = usualCapacity) {
        precondition(capacity.nonzeroBitCount == 1 && capacity > 1 << 16, "a ring holds any datagram")
        self.threads = threads
        self.capacity = capacity
        memory = .allocate(byteCount: threads * threads * capacity, alignment: HandoverRing.alignment)
        let bytes = threads * threads * Self.positionBytes
        positions = .allocate(byteCount: bytes, alignment: HandoverRing.alignment)
        let count = bytes / MemoryLayout<Atomic<Int>>.stride
        let all = positions.bindMemory(to: Atomic<Int>.self, capacity: count)
        for place in 0..<count { (all + place).initialize(to: Atomic(0)) }
    }

    // Atomics need no deinitialisation.
    deinit {
        memory.deallocate()
        positions.deallocate()
    }

    /// The ring that one thread writes and another reads. Valid as long as this object.
    public func ring(from writer: Int, to reader: Int) -> HandoverRing {
        precondition((0..<threads).contains(writer) && (0..<threads).contains(reader), "no such thread")
        let number = writer * threads + reader
        return HandoverRing(
            memory: memory + number * capacity,
            capacity: capacity,
            positions: (positions + number * Self.positionBytes).assumingMemoryBound(to: Atomic<Int>.self)
        )
    }
}
