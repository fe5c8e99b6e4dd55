import Synchronization
import VXWire

/// A packet that a lane has captured; its bytes stay until `CaptureBuffer.release`.
public struct CapturedPacket {
    /// What the lane says of it.
    public let label: CaptureLabel
    /// The bytes that were kept.
    public let bytes: UnsafeRawBufferPointer
}

/// What one thread captures on its way to the one reader, in memory that is taken when the capture starts. When the reader
/// is slow packets are lost here, and counted; the writer never waits.
public final class CaptureBuffer: @unchecked Sendable {
    /// Bytes of one lane's: about 2,000 full-sized frames, or 16,000 small ones.
    public static let usualCapacity = 4 << 20

    let ring: RecordRing<CaptureLabel>
    /// Datagrams; frames of each network, by its place; frames of none.
    let losses: UnsafeMutablePointer<Atomic<UInt64>>
    let lossCount: Int
    private let memory: UnsafeMutableRawPointer
    private let positions: UnsafeMutablePointer<Atomic<Int>>
    private var position = 0
    private var releasedTo = 0

    /// Empty.
    /// - Parameters:
    ///   - networks: losses are counted by network for so many places.
    ///   - capacity: in bytes; a power of two, above 128 KiB so that any packet fits.
    public init(networks: Int, capacity: Int = usualCapacity) {
        precondition(capacity.nonzeroBitCount == 1 && capacity > 1 << 17, "a buffer holds any packet")
        memory = .allocate(byteCount: capacity, alignment: RingPositions.alignment)
        // Here, so that no lane waits for the kernel to find the memory.
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: capacity)
        positions = RingPositions.make(rings: 1)
        ring = RecordRing(memory: memory, capacity: capacity, positions: positions)
        lossCount = networks + 2
        losses = .allocate(capacity: lossCount)
        for place in 0..<lossCount { (losses + place).initialize(to: Atomic(0)) }
    }

    // Atomics need no deinitialisation.
    deinit {
        memory.deallocate()
        positions.deallocate()
        losses.deallocate()
    }

    /// The next packet; nil when there is none. Only the reader.
    public func next() -> CapturedPacket? {
        ring.next(&position).map {
            CapturedPacket(label: $0.head, bytes: UnsafeRawBufferPointer(start: $0.base, count: $0.count))
        }
    }

    /// Gives back the memory of all packets that `next` has returned. Only the reader.
    public func release() {
        releasedTo = position
        ring.release(position)
    }

    /// Has `next` begin anew with the first packet that was not released. Only the reader.
    public func putBack() { position = releasedTo }

    /// Datagrams that found no room.
    public var lostDatagrams: UInt64 { losses[0].load(ordering: .relaxed) }

    /// Frames of the network at a place that found no room; those of networks that came later are told with `lostOthers`.
    public func lostFrames(of network: Int) -> UInt64 {
        precondition(network >= 0 && network < lossCount - 2, "no such network when the capture began")
        return losses[network + 1].load(ordering: .relaxed)
    }

    /// Frames of no network, or of one that came later, that found no room.
    public var lostOthers: UInt64 { losses[lossCount - 1].load(ordering: .relaxed) }
}

/// One capture, as a lane is told of it.
public struct CaptureProgram: Sendable {
    /// What it wants.
    public let filter: CaptureFilter
    /// Where the lane puts it.
    public let buffer: CaptureBuffer

    /// From its parts.
    public init(filter: CaptureFilter, buffer: CaptureBuffer) {
        self.filter = filter
        self.buffer = buffer
    }
}

/// The captures of one thread. Where none runs, all that a packet meets of it is one byte that is zero.
public struct CaptureTaps: ~Copyable {
    /// How many captures run at once, at most.
    public static var most: Int { 4 }

    /// The captures that want frames that are passed on, one bit each; and so on.
    private(set) var passedFrames: UInt8 = 0
    private(set) var droppedFrames: UInt8 = 0
    private(set) var passedDatagrams: UInt8 = 0
    private(set) var droppedDatagrams: UInt8 = 0

    /// Of the datagram that is being taken apart: the sender's lane, and its key pair's number.
    var arrivedLane: UInt8 = 0
    var arrivedEpoch: UInt32 = 0
    /// The port that what is received came to.
    var arrivalPort: UInt16 = 0
    /// A copy of the datagram that is being opened in place.
    var copy: UnsafeMutableRawPointer?
    static var copySize: Int { 65_536 }

    private struct Tap {
        let filter: CaptureFilter
        let ring: RecordRing<CaptureLabel>
        let losses: UnsafeMutablePointer<Atomic<UInt64>>
        let lossCount: Int
    }

    private let taps: UnsafeMutablePointer<Tap?>
    /// Keeps the memory that the taps point into.
    private var buffers: [CaptureBuffer?]

    /// None.
    public init() {
        taps = .allocate(capacity: Self.most)
        taps.initialize(repeating: nil, count: Self.most)
        buffers = Array(repeating: nil, count: Self.most)
    }

    deinit {
        taps.deallocate()
        copy?.deallocate()
    }

    /// Starts a capture at a place below `most`, in place of the one there, or ends that.
    public mutating func set(_ program: CaptureProgram?, at place: Int) {
        taps[place] = program.map {
            Tap(filter: $0.filter, ring: $0.buffer.ring, losses: $0.buffer.losses, lossCount: $0.buffer.lossCount)
        }
        buffers[place] = program?.buffer
        let bit: UInt8 = 1 << UInt8(place)
        let filter = program?.filter
        let wantsPassed = filter.map { $0.drops != .only } ?? false
        let wantsDropped = filter.map { $0.drops != .excluded } ?? false
        func update(_ mask: inout UInt8, _ isWanted: Bool) { mask = isWanted ? mask | bit : mask & ~bit }
        update(&passedFrames, wantsPassed && filter?.inner == true)
        update(&droppedFrames, wantsDropped && filter?.inner == true)
        update(&passedDatagrams, wantsPassed && filter?.outer == true)
        update(&droppedDatagrams, wantsDropped && filter?.outer == true)
        if copy == nil, filter?.outer == true { copy = .allocate(byteCount: Self.copySize, alignment: 64) }
    }

    /// Whether any capture runs.
    @inline(__always)
    var isActive: Bool { passedFrames | droppedFrames | passedDatagrams | droppedDatagrams != 0 }

    /// Whether datagrams are wanted, passed on or dropped.
    @inline(__always)
    public var wantsDatagrams: Bool { passedDatagrams | droppedDatagrams != 0 }

    /// Copies a packet for every capture that wants it.
    /// - Parameter count: how many of its bytes are at hand.
    @inline(never)
    public func offer(_ bytes: UnsafeRawPointer, count: Int, label: CaptureLabel) {
        for place in 0..<Self.most {
            guard let tap = taps[place], tap.filter.wants(label),
                label.isOuter || tap.filter.wants(frame: bytes, count: count)
            else { continue }
            if case .full = tap.ring.push(bytes, count: min(count, tap.filter.snap), head: label) {
                let number = Int(label.network) &+ 1
                let counter =
                    label.isOuter
                    ? 0 : number > 0 && number &+ 1 < tap.lossCount ? number : tap.lossCount &- 1
                // One writer: a plain addition.
                let losses = tap.losses + counter
                losses.pointee.store(losses.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
            }
        }
    }
}
