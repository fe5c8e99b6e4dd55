import VXWire

/// A piece of memory; the layout of the kernel's `iovec`.
public struct BytePiece {
    /// First byte.
    public let base: UnsafeMutableRawPointer
    /// How many bytes.
    public let count: Int
}

/// A frame for a TAP device, or a super-frame that was coalesced from many; its bytes stay where they were received until the
/// batch is emptied.
struct DeliveredRun {
    /// The first frame, whose headers stand for all.
    let frame: UnsafeMutableRawPointer
    /// Length of the first frame.
    let count: Int
    /// The place of its network.
    let network: Int
    /// What the kernel is told; complete once the run is.
    var offload: VirtioNetHeader
    /// Payloads that follow the first frame, as a chain through `DeliveryBatch.pieces`; -1 for none.
    var firstPiece: Int32 = -1
    var lastPiece: Int32 = -1
    var pieceCount = 0
    /// Bytes of the frame and all pieces.
    var bytes: Int
}

/// The frames that a lane is about to write to its devices, in order.
public struct DeliveryBatch: ~Copyable {
    /// Frames or super-frames that fit: more than the smallest records of one datagram, so that one datagram always finds room
    /// in an empty batch.
    static let capacity = 8192
    /// Frames that may become one super-frame.
    static let mostFrames = 128

    private struct Link {
        let piece: BytePiece
        var next: Int32
    }

    private let runs: UnsafeMutablePointer<DeliveredRun>
    /// How many frames and super-frames it holds.
    public private(set) var count = 0
    /// Bytes in all of them.
    public private(set) var bytes = 0
    /// How many frames came that no TCP will send again when their reader's socket is full.
    public private(set) var datagrams = 0
    private let links: UnsafeMutablePointer<Link>
    private var linkCount = 0
    /// What `pieces(of:)` answers with: vnet header, first frame, payloads.
    private let gathered: UnsafeMutablePointer<BytePiece>
    private let header: UnsafeMutableRawPointer

    init() {
        runs = .allocate(capacity: Self.capacity)
        links = .allocate(capacity: Self.capacity)
        gathered = .allocate(capacity: Self.mostFrames + 2)
        header = .allocate(byteCount: VirtioNetHeader.length, alignment: 8)
    }

    deinit {
        runs.deallocate()
        links.deallocate()
        gathered.deallocate()
        header.deallocate()
    }

    /// How many more frames it takes.
    @inline(__always)
    var room: Int { Self.capacity &- max(count, linkCount) }

    /// Adds a frame; the caller has looked at `room`.
    /// - Returns: its place.
    @inline(__always)
    mutating func append(
        _ frame: UnsafeMutableRawPointer,
        count length: Int,
        network: Int,
        offload: VirtioNetHeader
    ) -> Int {
        precondition(count < Self.capacity, "a batch was filled beyond its capacity")
        (runs + count).initialize(
            to: DeliveredRun(frame: frame, count: length, network: network, offload: offload, bytes: length)
        )
        bytes &+= length
        count &+= 1
        return count &- 1
    }

    /// Notes that a frame which holds no TCP was added.
    @inline(__always)
    mutating func noteDatagram() { datagrams &+= 1 }

    /// Adds a payload behind a run.
    @inline(__always)
    mutating func extend(_ place: Int, by payload: UnsafeMutableRawPointer, count length: Int) {
        precondition(place < count && linkCount < Self.capacity, "a batch was filled beyond its capacity")
        (links + linkCount).initialize(to: Link(piece: BytePiece(base: payload, count: length), next: -1))
        let new = Int32(truncatingIfNeeded: linkCount)
        let run = runs + place
        if run.pointee.lastPiece >= 0 {
            links[Int(run.pointee.lastPiece)].next = new
        } else {
            run.pointee.firstPiece = new
        }
        run.pointee.lastPiece = new
        run.pointee.pieceCount &+= 1
        run.pointee.bytes &+= length
        bytes &+= length
        linkCount &+= 1
    }

    /// A run, as a pointer so that using it copies nothing.
    @inline(__always)
    func run(_ place: Int) -> UnsafeMutablePointer<DeliveredRun> {
        precondition(place >= 0 && place < count, "no such frame in the batch")
        return runs + place
    }

    /// The place of the network whose device a frame is for.
    public func network(of place: Int) -> Int { run(place).pointee.network }

    /// What is written to the device for a frame: its vnet header, then its bytes. Valid until the next call.
    public func pieces(of place: Int) -> UnsafeBufferPointer<BytePiece> {
        let run = run(place)
        run.pointee.offload.write(to: header)
        (gathered + 0).initialize(to: BytePiece(base: header, count: VirtioNetHeader.length))
        (gathered + 1).initialize(to: BytePiece(base: run.pointee.frame, count: run.pointee.count))
        var filled = 2
        var next = run.pointee.firstPiece
        while next >= 0 {
            let link = links[Int(next)]
            precondition(filled < Self.mostFrames + 2, "a super-frame has more frames than a batch gathers")
            (gathered + filled).initialize(to: link.piece)
            filled &+= 1
            next = link.next
        }
        return UnsafeBufferPointer(start: gathered, count: filled)
    }

    /// Forgets all of it.
    mutating func removeAll() {
        count = 0
        linkCount = 0
        bytes = 0
        datagrams = 0
    }
}
