public import VXWire

/// Which socket a datagram leaves from.
public enum OutgoingPath: Sendable {
    /// The sealed port's socket of this lane.
    case sealed
    /// A plaintext sending socket, picked by the hash of the inner flow (RFC 7348, 5: the outer source port).
    case plaintext(flowHash: UInt32)
}

/// A datagram ready to be sent; its bytes stay in the lane's buffers until the batch is flushed.
public struct OutgoingDatagram {
    /// First byte of the UDP payload.
    public let base: UnsafeMutableRawPointer
    /// Length of the UDP payload.
    public let count: Int
    /// Where it goes.
    public let endpoint: Endpoint
    /// Which socket sends it.
    public let path: OutgoingPath
}

/// A frame ready for the TAP device; its bytes stay in the lane's buffers until the batch is flushed. At least 12
/// bytes before it are free for a vnet header.
public struct DeliveredFrame {
    /// First byte of the Ethernet header.
    public let base: UnsafeMutableRawPointer
    /// Length of the frame without FCS.
    public let count: Int
    /// The place of its network in the lane's table.
    public let network: Int
    /// What the kernel has to complete, if anything.
    public let checksum: PartialChecksum?
}

/// A list of fixed capacity, filled and emptied without allocation.
public struct FixedList<Element>: ~Copyable {
    private let storage: UnsafeMutablePointer<Element>
    private let capacity: Int
    /// How many elements it holds.
    public private(set) var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        storage = .allocate(capacity: capacity)
    }

    deinit {
        storage.deinitialize(count: count)
        storage.deallocate()
    }

    /// How many more it takes.
    @inline(__always)
    var room: Int { capacity &- count }

    /// Adds an element; the caller has looked at `room`.
    @inline(__always)
    mutating func append(_ element: Element) {
        precondition(count < capacity, "a batch was filled beyond its capacity")
        (storage + count).initialize(to: element)
        count &+= 1
    }

    /// The element at `index`.
    public subscript(index: Int) -> Element {
        precondition(index >= 0 && index < count, "no such element in the batch")
        return storage[index]
    }

    /// Empties the list.
    public mutating func removeAll() {
        storage.deinitialize(count: count)
        count = 0
    }
}

/// Equal pieces of one allocation, taken in turn and given back all at once.
struct SlotArena: ~Copyable {
    private let base: UnsafeMutableRawPointer
    let slotSize: Int
    private let slotCount: Int
    private var taken = 0

    init(slotSize: Int, slotCount: Int) {
        self.slotSize = (slotSize + 63) / 64 * 64
        self.slotCount = slotCount
        base = .allocate(byteCount: self.slotSize * slotCount, alignment: 64)
    }

    deinit { base.deallocate() }

    @inline(__always)
    var room: Int { slotCount &- taken }

    @inline(__always)
    mutating func take() -> UnsafeMutableRawPointer {
        precondition(taken < slotCount, "an arena was asked for more slots than it has")
        defer { taken &+= 1 }
        return base + taken &* slotSize
    }

    mutating func giveBackAll() { taken = 0 }
}
