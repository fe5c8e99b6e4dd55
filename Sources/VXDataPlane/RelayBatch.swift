import VXWire

/// A received frame that goes on to peers of the other side; its bytes stay where they were received until the batch is empty.
struct RelayedFrame {
    let frame: UnsafeMutableRawPointer
    let count: Int
    /// The place of its network.
    let network: Int
    /// What a kernel would say of it.
    let offload: VirtioNetHeader
    /// The peer it came from; nil for an answer of this node's own.
    let origin: PeerIndex?
    /// The peer it goes to; nil for all of the side.
    let target: PeerIndex?
    /// The side it goes to.
    let toPlaintext: Bool
}

/// The frames that a lane is about to pass on from peers to peers, in order.
struct RelayBatch: ~Copyable {
    /// More than the smallest records of one datagram, and the answers to them.
    private static var capacity: Int { 16_384 }

    private let frames: UnsafeMutablePointer<RelayedFrame>
    private var count = 0
    private var next = 0
    /// Where a frame is copied to before it is sent on, with room for headers before it: what stands before it in the receive
    /// buffer may still have to be written to a device.
    let slot: UnsafeMutableRawPointer
    /// Bytes of a frame that fit: what one UDP datagram carries.
    private static var largestFrame: Int { 65_536 }
    private static var headroom: Int { 64 }

    init() {
        frames = .allocate(capacity: Self.capacity)
        slot = .allocate(byteCount: Self.headroom + Self.largestFrame, alignment: 64)
    }

    deinit {
        frames.deallocate()
        slot.deallocate()
    }

    /// How many more frames it takes.
    @inline(__always)
    var room: Int { Self.capacity &- count }

    @inline(__always)
    var isEmpty: Bool { count == 0 }

    /// Adds a frame; the caller has looked at `room`.
    @inline(__always)
    mutating func append(_ frame: RelayedFrame) {
        precondition(
            count < Self.capacity && frame.count <= Self.largestFrame,
            "a batch was filled beyond its capacity"
        )
        (frames + count).initialize(to: frame)
        count &+= 1
    }

    /// The next frame, and a copy of its bytes; nil when there is none, and the batch is empty then.
    @inline(__always)
    mutating func takeNext() -> (frame: RelayedFrame, copy: UnsafeMutableRawPointer)? {
        guard next < count else {
            next = 0
            count = 0
            return nil
        }
        let frame = frames[next]
        next &+= 1
        let copy = slot + Self.headroom
        copy.copyMemory(from: frame.frame, byteCount: frame.count)
        return (frame, copy)
    }
}
