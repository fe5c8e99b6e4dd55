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

/// What one lane has exchanged with one peer, over all its sessions.
public struct PeerCounters: Sendable {
    @usableFromInline let block = CounterBlock(count: 6)

    /// All at zero.
    public init() {}

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

/// What one lane knows of one key pair, for the timers and the loss report; times are nanoseconds since boot, 0 for
/// never.
public struct SessionCounters: Sendable {
    let block = CounterBlock(count: 9)

    /// All at zero.
    public init() {}

    /// When anything was last sent under the pair.
    public var lastSent: UInt64 { block[0] }
    /// When records were last sent under it.
    public var lastDataSent: UInt64 { block[1] }
    /// When anything authenticated under it last arrived.
    public var lastReceived: UInt64 { block[2] }
    /// When records last arrived under it.
    public var lastDataReceived: UInt64 { block[3] }
    /// The next send counter of this lane, which is also how many datagrams were sealed.
    public var sendCounter: UInt64 { block[4] }
    /// One above the highest counter that arrived on receive lane 0; 0 for none.
    public var receiveEdge: UInt64 { block[5] }
    /// How many datagrams arrived on receive lane 0.
    public var received: UInt64 { block[6] }

    /// Datagrams whose counter had been seen.
    public var duplicates: UInt64 { block[7] }
    /// Datagrams that arrived behind a later one of their lane.
    public var reordered: UInt64 { block[8] }

    @inline(__always)
    func noteDuplicate() { block.add(1, at: 7) }

    @inline(__always)
    func noteReordered() { block.add(1, at: 8) }

    @inline(__always)
    func noteSent(now: UInt64, data: Bool, counter: UInt64) {
        block.set(now, at: 0)
        if data { block.set(now, at: 1) }
        block.set(counter, at: 4)
    }

    @inline(__always)
    func noteReceived(now: UInt64, data: Bool) {
        block.set(now, at: 2)
        if data { block.set(now, at: 3) }
    }

    @inline(__always)
    func noteReport(edge: UInt64) {
        block.set(edge, at: 5)
        block.add(1, at: 6)
    }
}
