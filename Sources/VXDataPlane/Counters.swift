public import Synchronization
public import VXWire

/// A row of 64-bit counters with one writer (a lane) and any number of readers.
///
/// A plain relaxed load and store is enough for the writer, and costs what an ordinary addition costs; a locked
/// read-modify-write would cost more than the rest of a small frame's bookkeeping. The memory lives as long as the
/// process: lanes hand the address to other threads, and a peer's counters outlive its sessions.
public struct CounterBlock: @unchecked Sendable {
    @usableFromInline let base: UnsafeMutablePointer<Atomic<UInt64>>
    /// How many counters the row has.
    public let count: Int

    /// A row of zeros.
    public init(count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        for index in 0..<count { (base + index).initialize(to: Atomic(0)) }
    }

    /// A row in memory that somebody else owns, has initialised, and keeps longer than this.
    init(base: UnsafeMutablePointer<Atomic<UInt64>>, count: Int) {
        self.base = base
        self.count = count
    }

    /// The value at `index`, for any thread.
    @inlinable
    public subscript(index: Int) -> UInt64 {
        base[index].load(ordering: .relaxed)
    }

    /// Adds `amount`; only the owning thread may.
    @inlinable
    func add(_ amount: UInt64, at index: Int) {
        base[index].store(base[index].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Begins anew; only while no thread owns it.
    func reset() {
        for index in 0..<count { set(0, at: index) }
    }

    /// Sets the value; only the owning thread may.
    @inlinable
    func set(_ value: UInt64, at index: Int) {
        base[index].store(value, ordering: .relaxed)
    }
}

/// What one lane has dropped, by reason.
public struct DropCounters: Sendable {
    @usableFromInline let block = CounterBlock(count: DropReason.allCases.count)

    /// All at zero.
    public init() {}

    /// How often `reason` occurred, for any thread.
    public subscript(reason: DropReason) -> UInt64 { block[Int(reason.rawValue)] }

    /// Counts one drop; only the owning thread may.
    @inlinable
    public func count(_ reason: DropReason, _ amount: UInt64 = 1) {
        // The synthesised `rawValue` is a call into another module; the tag of a case is the same number.
        block.add(amount, at: Int(unsafeBitCast(reason, to: UInt8.self)))
    }
}

/// What all lanes together have dropped of one network, by reason.
public final class NetworkDrops: Sendable {
    let words: NetworkDropWords

    /// All at zero.
    public init() { words = NetworkDropWords(base: ZeroedWords.allocate(DropReason.allCases.count)) }

    deinit { ZeroedWords.deallocate(words.base) }

    /// How often `reason` occurred.
    public subscript(reason: DropReason) -> UInt64 { words.base[Int(reason.rawValue)].load(ordering: .relaxed) }
}

/// A network's drops as a lane sees them, valid as long as the network's `NetworkDrops`.
struct NetworkDropWords: @unchecked Sendable {
    fileprivate let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// Several lanes count here: an atomic addition, which a drop is rare enough for.
    @inline(__always)
    func count(_ reason: DropReason) {
        base[Int(unsafeBitCast(reason, to: UInt8.self))].wrappingAdd(1, ordering: .relaxed)
    }
}

/// What one lane has exchanged with one peer, over all its sessions, and what it dropped of it.
public struct PeerCounters: Sendable {
    @usableFromInline let block = CounterBlock(count: firstDrop + DropReason.allCases.count)
    private static var firstDrop: Int { 8 }

    /// All at zero.
    public init() {}

    /// Begins anew for another peer of the same index, which no lane knows yet.
    public func reset() { block.reset() }

    /// Authenticated (or plaintext) datagrams from the peer.
    public var receivedDatagrams: UInt64 { block[0] }
    /// Frames from the peer that were passed on.
    public var receivedFrames: UInt64 { block[1] }
    /// Bytes of those frames, Ethernet header included.
    public var receivedBytes: UInt64 { block[2] }
    /// Datagrams handed to the socket for the peer.
    public var sentDatagrams: UInt64 { block[3] }
    /// Frames in them.
    public var sentFrames: UInt64 { block[4] }
    /// Bytes of those frames, Ethernet header included.
    public var sentBytes: UInt64 { block[5] }

    /// Plaintext that claimed to come from this keyed peer.
    public var tripwires: UInt64 { block[6] }

    /// VXLAN datagrams from a plaintext peer with reserved bits set, which are ignored (RFC 7348, 5).
    public var reservedBits: UInt64 { block[7] }

    /// What was dropped, by reason, of what the peer sent or was to be sent.
    public func drops(_ reason: DropReason) -> UInt64 { block[Self.firstDrop + Int(reason.rawValue)] }

    @inline(__always)
    func countDrop(_ reason: DropReason, _ amount: UInt64 = 1) {
        block.add(amount, at: Self.firstDrop &+ Int(unsafeBitCast(reason, to: UInt8.self)))
    }

    @inline(__always)
    func countReservedBits() { block.add(1, at: 7) }

    func countTripwire() { block.add(1, at: 6) }

    @inline(__always)
    func countReceivedDatagram() { block.add(1, at: 0) }

    @inline(__always)
    func countReceivedFrame(bytes: Int) {
        block.add(1, at: 1)
        block.add(UInt64(truncatingIfNeeded: bytes), at: 2)
    }

    @inline(__always)
    func countSentDatagram() { block.add(1, at: 3) }

    @inline(__always)
    func countSentFrame(bytes: Int) {
        block.add(1, at: 4)
        block.add(UInt64(truncatingIfNeeded: bytes), at: 5)
    }
}
