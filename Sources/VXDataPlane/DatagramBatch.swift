public import VXWire

/// Which socket a run of datagrams leaves from.
public enum OutgoingPath: Equatable, Sendable {
    /// The sealed port's socket of this lane.
    case sealed
    /// This lane's own sending socket.
    case sealedFromOwnPort
    /// A plaintext sending socket, picked by the hash of the inner flow (RFC 7348, 5: the outer source port).
    case plaintext(flowHash: UInt32)
}

/// Datagrams to one place, back to back in the batch's memory and equal in size but for the last, which may be shorter: what
/// one `sendmsg` with UDP_SEGMENT takes (udp(7)).
public struct OutgoingRun {
    /// First byte of the first datagram.
    public let base: UnsafeMutableRawPointer
    /// Bytes of all datagrams.
    public fileprivate(set) var count: Int
    /// Bytes of each datagram but the last.
    public let segmentSize: Int
    /// How many datagrams.
    public fileprivate(set) var segments: Int
    /// Where they go.
    public let endpoint: Endpoint
    /// Which socket sends them.
    public let path: OutgoingPath
    /// DSCP and ECN of their IP headers.
    public let trafficClass: UInt8
    let peer: Int
    /// The last datagram was shorter, or the run is as long as the kernel takes it.
    fileprivate var isClosed: Bool

    /// One of its datagrams.
    public func datagram(_ number: Int) -> UnsafeRawBufferPointer {
        precondition(number >= 0 && number < segments, "no such datagram in the run")
        let start = number * segmentSize
        return UnsafeRawBufferPointer(start: base + start, count: min(segmentSize, count - start))
    }
}

/// The datagrams that a lane is about to send: sealed straight into one piece of memory, where datagrams to the same peer
/// become runs without being touched again.
public struct DatagramBatch: ~Copyable {
    /// UDP_MAX_SEGMENTS of the kernels before 6.9.
    static let mostSegments = 64
    /// What one UDP datagram over IPv4 may measure, and so a run.
    static let mostRunBytes = 65_507
    /// Runs before the batch counts as full.
    static let capacity = 256

    private let arena: UnsafeMutableRawPointer
    private let arenaSize: Int
    private var used = 0
    private let storage: UnsafeMutablePointer<OutgoingRun>
    /// How many runs it holds.
    public private(set) var count = 0
    /// Runs may hold more than one datagram.
    var joinsRuns: Bool

    init(bytes: Int, joinsRuns: Bool) {
        arenaSize = bytes
        arena = .allocate(byteCount: bytes, alignment: 64)
        storage = .allocate(capacity: Self.capacity)
        self.joinsRuns = joinsRuns
    }

    deinit {
        storage.deinitialize(count: count)
        storage.deallocate()
        arena.deallocate()
    }

    /// Whether `count` datagrams of `bytes` bytes together fit.
    @inline(__always)
    func hasRoom(bytes: Int, datagrams: Int) -> Bool {
        arenaSize &- used >= bytes && Self.capacity &- count >= datagrams
    }

    /// Where the next datagram is written; the caller has looked at `hasRoom`.
    @inline(__always)
    var next: UnsafeMutableRawPointer { arena + used }

    /// Takes the datagram that was written at `next`.
    @inline(__always)
    mutating func commit(_ size: Int, peer: Int, endpoint: Endpoint, path: OutgoingPath, trafficClass: UInt8) {
        precondition(size <= arenaSize &- used, "a datagram was written beyond its batch")
        let base = arena + used
        used &+= size
        if count > 0, joinsRuns {
            let last = storage + (count &- 1)
            if !last.pointee.isClosed, last.pointee.peer == peer, size <= last.pointee.segmentSize,
                last.pointee.count &+ size <= Self.mostRunBytes, last.pointee.path == path,
                last.pointee.endpoint == endpoint, last.pointee.trafficClass == trafficClass
            {
                last.pointee.count &+= size
                last.pointee.segments &+= 1
                last.pointee.isClosed =
                    size < last.pointee.segmentSize || last.pointee.segments == Self.mostSegments
                return
            }
        }
        precondition(count < Self.capacity, "a batch was filled beyond its capacity")
        (storage + count).initialize(
            to: OutgoingRun(
                base: base,
                count: size,
                segmentSize: size,
                segments: 1,
                endpoint: endpoint,
                path: path,
                trafficClass: trafficClass,
                peer: peer,
                isClosed: false
            )
        )
        count &+= 1
    }

    /// The run at `index`.
    public subscript(index: Int) -> OutgoingRun {
        precondition(index >= 0 && index < count, "no such run in the batch")
        return storage[index]
    }

    /// Forgets all of it; the memory is used anew.
    mutating func removeAll() {
        storage.deinitialize(count: count)
        count = 0
        used = 0
    }
}
