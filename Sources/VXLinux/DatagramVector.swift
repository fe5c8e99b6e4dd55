import CVXLinux
import Glibc
public import VXWire

/// Many datagrams for one system call (`sendmmsg`, `recvmmsg`). All its arrays are allocated once.
public struct DatagramVector: ~Copyable {
    /// How many datagrams it takes.
    public let capacity: Int
    /// How many it holds.
    public private(set) var count = 0

    private let messages: UnsafeMutablePointer<vx_mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutablePointer<SocketAddress>
    /// Receive buffers, none on the sending side.
    private let slots: UnsafeMutableRawPointer?

    /// What became of a batch.
    public struct Outcome {
        /// Datagrams the kernel refused as larger than the interface's MTU.
        public var tooBig = 0
        /// Datagrams it refused for another reason: a full buffer, no route.
        public var failed = 0
    }

    /// For sending.
    public init(sending capacity: Int) {
        self.init(capacity: capacity, slots: nil)
    }

    /// For receiving.
    /// - Parameters:
    ///   - capacity: datagrams per call.
    ///   - datagramSize: longer ones are cut, and `isTruncated`.
    ///   - headroom: free bytes before each datagram.
    public init(receiving capacity: Int, datagramSize: Int, headroom: Int) {
        let slotSize = (headroom + datagramSize + 63) / 64 * 64
        let slots = UnsafeMutableRawPointer.allocate(byteCount: slotSize * capacity, alignment: 64)
        self.init(capacity: capacity, slots: slots)
        for place in 0..<capacity {
            vectors[place] = iovec(iov_base: slots + place * slotSize + headroom, iov_len: datagramSize)
        }
    }

    private init(capacity: Int, slots: UnsafeMutableRawPointer?) {
        self.capacity = capacity
        self.slots = slots
        messages = .allocate(capacity: capacity)
        vectors = .allocate(capacity: capacity)
        addresses = .allocate(capacity: capacity)
        vectors.initialize(repeating: iovec(), count: capacity)
        addresses.initialize(repeating: SocketAddress(), count: capacity)
        messages.initialize(repeating: vx_mmsghdr(), count: capacity)
        for place in 0..<capacity {
            messages[place].header.msg_name = UnsafeMutableRawPointer(addresses + place)
            messages[place].header.msg_iov = vectors + place
            messages[place].header.msg_iovlen = 1
        }
    }

    deinit {
        messages.deallocate()
        vectors.deallocate()
        addresses.deallocate()
        slots?.deallocate()
    }

    /// Empties a sending vector.
    public mutating func reset() { count = 0 }

    /// Adds a datagram; its bytes must stay until `send` has returned.
    public mutating func append(base: UnsafeMutableRawPointer, count length: Int, to endpoint: Endpoint) {
        precondition(count < capacity, "a datagram vector was filled beyond its capacity")
        vectors[count] = iovec(iov_base: base, iov_len: length)
        addresses[count].set(endpoint)
        messages[count].header.msg_namelen = addresses[count].length
        count &+= 1
    }

    /// Sends all datagrams. One that the kernel refuses is passed over and counted, and the rest still leave.
    public mutating func send(on socket: borrowing UDPSocket) -> Outcome {
        var outcome = Outcome()
        var place = 0
        let number = socket.descriptor.rawValue
        while place < count {
            let (first, left) = (messages + place, UInt32(count - place))
            let sent = retryingInterrupted { vx_sendmmsg(number, first, left, 0) }
            if sent > 0 {
                place += Int(sent)
                continue
            }
            if errno == EMSGSIZE { outcome.tooBig += 1 } else { outcome.failed += 1 }
            place += 1
        }
        return outcome
    }

    /// Receives what waits.
    /// - Returns: how many datagrams, 0 when none waits.
    public mutating func receive(on socket: borrowing UDPSocket) -> Int {
        for place in 0..<count {
            messages[place].header.msg_flags = 0
        }
        for place in 0..<capacity {
            messages[place].header.msg_namelen = socklen_t(MemoryLayout<sockaddr_in6>.size)
        }
        let (number, messages, capacity) = (socket.descriptor.rawValue, messages, UInt32(capacity))
        let received = retryingInterrupted { vx_recvmmsg(number, messages, capacity, 0) }
        count = max(Int(received), 0)
        return count
    }

    /// First byte of a received datagram.
    public func base(_ place: Int) -> UnsafeMutableRawPointer {
        precondition(place < count, "no such datagram")
        guard let base = vectors[place].iov_base else { preconditionFailure("a receiving vector has buffers") }
        return base
    }

    /// Length of a received datagram.
    public func length(_ place: Int) -> Int { Int(messages[place].length) }

    /// Where a received datagram came from.
    public func source(_ place: Int) -> Endpoint { addresses[place].endpoint }

    /// Whether the datagram was longer than its buffer.
    public func isTruncated(_ place: Int) -> Bool {
        messages[place].header.msg_flags & CInt(MSG_TRUNC) != 0
    }
}
