import Synchronization
public import VXWire

/// What all lane threads of a node know of one key pair: for each thread what it sent and heard, for each receive lane
/// how far it has come. Every number has one writer, the thread that owns it; any thread may read.
///
/// Threads' rows stand on cache lines of their own, or every datagram would take the line away from the other threads.
/// The memory goes with the last reference: sessions hold one beside the bare pointers that they count through.
public final class PairCounters: @unchecked Sendable {
    private static let cacheLine = 64
    private static let numberSize = MemoryLayout<Atomic<UInt64>>.stride

    private let memory: UnsafeMutableRawPointer
    private let rowSize: Int
    /// The node's lane threads.
    public let threads: Int
    /// The lanes that the peer announced.
    public let receiveLanes: Int

    /// All at zero.
    /// - Parameters:
    ///   - threads: the node's lane threads.
    ///   - receiveLanes: the lanes that the peer announced.
    public init(threads: Int, receiveLanes: Int) {
        self.threads = threads
        self.receiveLanes = receiveLanes
        let lanesPerThread = (receiveLanes + threads - 1) / threads
        let numbers = SessionCounters.count + lanesPerThread * ReceiveLaneCounters.count
        rowSize = (numbers * Self.numberSize + Self.cacheLine - 1) / Self.cacheLine * Self.cacheLine
        memory = .allocate(byteCount: rowSize * threads, alignment: Self.cacheLine)
        let total = rowSize * threads / Self.numberSize
        let all = memory.bindMemory(to: Atomic<UInt64>.self, capacity: total)
        for place in 0..<total { (all + place).initialize(to: Atomic(0)) }
    }

    // Atomics need no deinitialisation.
    deinit { memory.deallocate() }

    private func block(thread: Int, at number: Int, count: Int) -> CounterBlock {
        precondition(thread >= 0 && thread < threads, "a thread that the node does not have")
        let base = memory + thread * rowSize + number * Self.numberSize
        return CounterBlock(base: base.assumingMemoryBound(to: Atomic<UInt64>.self), count: count)
    }

    /// What a thread counts. Valid as long as this object.
    public func session(thread: Int) -> SessionCounters {
        SessionCounters(block: block(thread: thread, at: 0, count: SessionCounters.count))
    }

    /// What the owner of a receive lane, thread `lane mod threads`, counts of it. Valid as long as this object.
    public func receiveLane(_ lane: Int) -> ReceiveLaneCounters {
        precondition(lane >= 0 && lane < receiveLanes, "a lane that the peer did not announce")
        let number = SessionCounters.count + lane / threads * ReceiveLaneCounters.count
        return ReceiveLaneCounters(block: block(thread: lane % threads, at: number, count: ReceiveLaneCounters.count))
    }

    /// The pair's report (protocol.md, 5): a line for each receive lane.
    public var report: [ControlMessage.LaneReport] { (0..<receiveLanes).map { receiveLane($0).report } }
}

/// What one thread knows of one key pair, for the timers; times are nanoseconds since boot, 0 for never.
public struct SessionCounters: Sendable {
    static var count: Int { 7 }
    let block: CounterBlock

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
    /// Datagrams whose counter had been seen.
    public var duplicates: UInt64 { block[5] }
    /// Datagrams that arrived behind a later one of their lane.
    public var reordered: UInt64 { block[6] }

    @inline(__always)
    func noteDuplicate() { block.add(1, at: 5) }

    @inline(__always)
    func noteReordered() { block.add(1, at: 6) }

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
}

/// How far one receive lane of one key pair has come.
public struct ReceiveLaneCounters: Sendable {
    static var count: Int { 2 }
    let block: CounterBlock

    /// What a report says of the lane.
    public var report: ControlMessage.LaneReport {
        // The edge first: what arrives in between then counts as received, and not as lost.
        let edge = block[0]
        return ControlMessage.LaneReport(highestCounter: max(edge, 1) - 1, received: block[1])
    }

    /// - Parameter edge: one above the highest counter that arrived.
    @inline(__always)
    func noteReceived(edge: UInt64) {
        block.set(edge, at: 0)
        block.add(1, at: 1)
    }
}
