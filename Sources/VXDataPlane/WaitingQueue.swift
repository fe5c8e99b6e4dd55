import VXWire

/// The frames that wait for one peer's session, oldest first, at most 256 KiB of them (protocol.md, 4). The oldest give
/// way: a fresh frame is worth more than one whose sender has long repeated it.
///
/// Memory is taken when the first frame waits and given back when the queue runs empty, so an established peer costs
/// nothing.
struct WaitingQueue {
    /// The bound on the bytes that wait, frame headers included.
    static let capacity = 256 << 10
    private static let headerSize = 24

    /// Frames stand back to back behind a header each: length, the place of the network, the vnet header. A frame never
    /// wraps; one that would starts again at the front.
    private var storage: UnsafeMutableRawPointer?
    private var head = 0
    private var tail = 0
    private var wrap = capacity
    private(set) var count = 0

    /// Adds a copy of a frame.
    /// - Returns: how many of the oldest frames had to go.
    mutating func append(
        _ frame: UnsafeRawPointer,
        count length: Int,
        network: Int,
        offload: VirtioNetHeader
    ) -> Int {
        let size = (Self.headerSize + length + 7) & ~7
        precondition(size <= Self.capacity / 2, "a frame cannot be larger than what TAP devices carry")
        let storage = self.storage ?? .allocate(byteCount: Self.capacity, alignment: 8)
        self.storage = storage
        var dropped = 0
        while !makesRoom(size) {
            removeFirst()
            dropped += 1
        }
        storage.storeBytes(of: UInt32(length), toByteOffset: tail, as: UInt32.self)
        storage.storeBytes(of: UInt32(network), toByteOffset: tail + 4, as: UInt32.self)
        offload.write(to: storage + tail + 8)
        (storage + tail + Self.headerSize).copyMemory(from: frame, byteCount: length)
        tail += size
        count += 1
        return dropped
    }

    /// Whether `size` bytes fit behind the newest frame, after moving to the front when the end is too near.
    private mutating func makesRoom(_ size: Int) -> Bool {
        if count == 0 {
            (head, tail, wrap) = (0, 0, Self.capacity)
            return true
        }
        if tail > head {
            if tail + size <= Self.capacity { return true }
            guard size <= head else { return false }
            wrap = tail
            tail = 0
            return true
        }
        return tail + size <= head
    }

    /// A frame that waits.
    struct Waiting {
        let base: UnsafeMutableRawPointer
        let count: Int
        let network: Int
        let offload: VirtioNetHeader
    }

    /// The oldest frame.
    var first: Waiting? {
        guard count > 0, let storage else { return nil }
        let length = storage.load(fromByteOffset: head, as: UInt32.self)
        let network = storage.load(fromByteOffset: head + 4, as: UInt32.self)
        return Waiting(
            base: storage + head + Self.headerSize,
            count: Int(length),
            network: Int(network),
            offload: VirtioNetHeader(reading: storage + head + 8)
        )
    }

    /// Removes the oldest frame.
    mutating func removeFirst() {
        guard let first else { return }
        head += (Self.headerSize + first.count + 7) & ~7
        count -= 1
        if head == wrap { (head, wrap) = (0, Self.capacity) }
        if count == 0 { removeAll() }
    }

    /// Removes the frames of networks that `isMeant` names, and leaves the others in their order.
    /// - Returns: how many went.
    mutating func remove(where isMeant: (_ network: Int) -> Bool) -> Int {
        var removed = 0
        var kept = WaitingQueue()
        while let frame = first {
            if isMeant(frame.network) {
                removed += 1
            } else {
                removed += kept.append(frame.base, count: frame.count, network: frame.network, offload: frame.offload)
            }
            removeFirst()
        }
        self = kept
        return removed
    }

    /// Removes every frame and gives the memory back.
    mutating func removeAll() {
        storage?.deallocate()
        self = WaitingQueue()
    }
}
