import Synchronization
public import VXWire

/// Datagrams that one lane thread received and another owns: copied in and opened where they stand.
public struct HandoverRing: Sendable {
    private struct Origin {
        let source: Endpoint
        let outerECN: UInt8
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

    private let records: RecordRing<Origin>

    /// As for `RecordRing`.
    init(memory: UnsafeMutableRawPointer, capacity: Int, positions: UnsafeMutablePointer<Atomic<Int>>) {
        records = RecordRing(memory: memory, capacity: capacity, positions: positions)
    }

    /// Copies a datagram in; only the writing thread.
    @inline(__always)
    func push(_ datagram: UnsafeRawPointer, count: Int, source: Endpoint, outerECN: UInt8 = 0) -> RingPush {
        records.push(datagram, count: count, head: Origin(source: source, outerECN: outerECN))
    }

    /// The datagram at `position`, which moves behind it; nil when there is no more. Only the reading thread.
    public func next(_ position: inout Int) -> Datagram? {
        records.next(&position).map {
            Datagram(base: $0.base, count: $0.count, source: $0.head.source, outerECN: $0.head.outerECN)
        }
    }

    /// Gives back everything before `position`. Only the reading thread, which calls `next` once more after it before it
    /// sleeps.
    public func release(_ position: Int) { records.release(position) }
}

/// The rings between all lane threads of a node.
public final class HandoverRings: @unchecked Sendable {
    /// Of one ring: a few runs of UDP_GRO.
    public static let usualCapacity = 256 << 10

    /// The node's lane threads.
    public let threads: Int
    private let capacity: Int
    private let memory: UnsafeMutableRawPointer
    private let positions: UnsafeMutablePointer<Atomic<Int>>

    /// Empty rings.
    /// - Parameters:
    ///   - threads: the node's lane threads.
    ///   - capacity: bytes of each ring; a power of two, above 64 KiB so that any datagram fits.
    public init(threads: Int, capacity: Int = usualCapacity) {
        precondition(capacity.nonzeroBitCount == 1 && capacity > 1 << 16, "a ring holds any datagram")
        self.threads = threads
        self.capacity = capacity
        memory = .allocate(byteCount: threads * threads * capacity, alignment: RingPositions.alignment)
        positions = RingPositions.make(rings: threads * threads)
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
            positions: positions + number * RingPositions.perRing
        )
    }
}
