import CVXLinux
import Glibc
public import VXWire

/// Many datagrams, or runs of equal datagrams, for one system call (`sendmmsg`, `recvmmsg`; UDP_SEGMENT and UDP_GRO, udp(7)).
/// All its arrays are allocated once.
public struct DatagramVector: ~Copyable {
    /// How many datagrams it takes.
    public let capacity: Int
    /// How many it holds.
    public private(set) var count = 0

    private let messages: UnsafeMutablePointer<vx_mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutablePointer<SocketAddress>
    /// Control messages for each: the segment size of a run, and the traffic class.
    private let controls: UnsafeMutableRawPointer
    /// Bytes of each datagram of a run that is to be sent; 0 for a single datagram.
    private let segmentSizes: UnsafeMutablePointer<Int>
    /// Of what is to be sent.
    private let trafficClasses: UnsafeMutablePointer<UInt8>
    /// Nothing was received yet.
    private var isFresh = true
    /// Receive buffers, none on the sending side.
    private let slots: UnsafeMutableRawPointer?

    /// What became of a batch.
    public struct Outcome {
        /// Datagrams the kernel refused as larger than the interface's MTU.
        public var tooBig = 0
        /// Datagrams it refused for another reason: a full buffer, no route.
        public var failed = 0
        /// The errno with which the kernel refused a run whose datagrams it then took one by one; 0 for none.
        public var refusedRun: CInt = 0
    }

    private static let controlSize = (Int(VX_CONTROL_SIZE) + 15) / 16 * 16
    /// How long a full socket buffer is waited for, in milliseconds; a network card empties one in less.
    private static let patience: CInt = 5

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
        controls = .allocate(byteCount: Self.controlSize * capacity, alignment: 16)
        controls.initializeMemory(as: UInt8.self, repeating: 0, count: Self.controlSize * capacity)
        segmentSizes = .allocate(capacity: capacity)
        segmentSizes.initialize(repeating: 0, count: capacity)
        trafficClasses = .allocate(capacity: capacity)
        trafficClasses.initialize(repeating: 0, count: capacity)
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
        controls.deallocate()
        segmentSizes.deallocate()
        trafficClasses.deallocate()
        slots?.deallocate()
    }

    /// Empties a sending vector.
    public mutating func reset() { count = 0 }

    /// Adds a datagram or a run of them; its bytes must stay until `send` has returned.
    /// - Parameters:
    ///   - base: the first byte.
    ///   - length: bytes of all datagrams.
    ///   - segmentSize: bytes of each datagram but the last.
    ///   - trafficClass: DSCP and ECN of their IP headers (RFC 2474, RFC 3168).
    ///   - endpoint: where they go.
    public mutating func append(
        base: UnsafeMutableRawPointer,
        count length: Int,
        segmentSize: Int,
        trafficClass: UInt8 = 0,
        to endpoint: Endpoint
    ) {
        precondition(count < capacity, "a datagram vector was filled beyond its capacity")
        vectors[count] = iovec(iov_base: base, iov_len: length)
        addresses[count].set(endpoint)
        messages[count].header.msg_namelen = addresses[count].length
        segmentSizes[count] = length > segmentSize ? segmentSize : 0
        trafficClasses[count] = trafficClass
        if length > segmentSize || trafficClass != 0 {
            vx_set_controls(
                &messages[count].header,
                controls + count &* Self.controlSize,
                UInt16(truncatingIfNeeded: segmentSizes[count]),
                endpoint.address.isIPv6 ? 1 : 0,
                CInt(trafficClass)
            )
        } else {
            messages[count].header.msg_control = nil
            messages[count].header.msg_controllen = 0
        }
        count &+= 1
    }

    /// Sends all datagrams. One that the kernel refuses is passed over and counted, and the rest still leave; a run that it
    /// refuses is sent datagram by datagram.
    public mutating func send(on socket: borrowing UDPSocket) -> Outcome {
        var outcome = Outcome()
        var place = 0
        let number = socket.descriptor.rawValue
        while place < count {
            if sendSome(number, &place) { continue }
            var code = errno
            if code == EAGAIN || code == ENOBUFS {
                _ = vx_wait_writable(number, Self.patience)
                if sendSome(number, &place) { continue }
                code = errno
            }
            sendSeparately(number, place, code: code, outcome: &outcome)
            place += 1
        }
        return outcome
    }

    /// One `sendmmsg`; false when the first message was refused.
    private func sendSome(_ number: CInt, _ place: inout Int) -> Bool {
        let (first, left) = (messages + place, UInt32(count - place))
        let sent = retryingInterrupted { vx_sendmmsg(number, first, left, 0) }
        if sent > 0 { place += Int(sent) }
        return sent > 0
    }

    /// A run that the kernel refused: its datagrams one by one, or a single datagram's failure.
    private func sendSeparately(_ number: CInt, _ place: Int, code: CInt, outcome: inout Outcome) {
        func note(_ code: CInt) {
            if code == EMSGSIZE { outcome.tooBig += 1 } else { outcome.failed += 1 }
        }
        let size = segmentSizes[place]
        guard size > 0, let base = vectors[place].iov_base else { return note(code) }
        let total = vectors[place].iov_len
        var offset = 0
        var refused = 0
        while offset < total {
            let count = min(size, total - offset)
            let start = base + offset
            let like = UnsafePointer(messages + place).pointer(to: \.header)
            let isIPv6: CInt = addresses[place].isIPv6 ? 1 : 0
            let trafficClass = CInt(trafficClasses[place])
            let sent = retryingInterrupted { vx_send_part(number, like, start, count, isIPv6, trafficClass) }
            if sent < 0 {
                note(errno)
                refused += 1
            }
            offset += count
        }
        // Whoever takes every datagram alone does not take runs: no checksum offload (EIO), an old kernel (EINVAL).
        if refused == 0, code != EAGAIN, code != ENOBUFS { outcome.refusedRun = code }
    }

    /// Receives what waits.
    /// - Returns: how many datagrams, 0 when none waits.
    public mutating func receive(on socket: borrowing UDPSocket) -> Int {
        // The kernel has written into what the last call used of these.
        for place in 0..<max(count, isFresh ? capacity : 0) {
            messages[place].header.msg_flags = 0
            messages[place].header.msg_namelen = socklen_t(MemoryLayout<sockaddr_in6>.size)
            messages[place].header.msg_control = controls + place &* Self.controlSize
            messages[place].header.msg_controllen = Self.controlSize
        }
        isFresh = false
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

    /// Length of a received datagram, or of all datagrams of a run.
    public func length(_ place: Int) -> Int { Int(messages[place].length) }

    /// Bytes of each datagram but the last of a received run; 0 for a single datagram.
    public func segmentSize(_ place: Int) -> Int { Int(vx_received_segment_size(&messages[place].header)) }

    /// DSCP and ECN of a received datagram, which all datagrams of a run share; 0 on a socket that was not asked to tell.
    public func trafficClass(_ place: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: vx_received_traffic_class(&messages[place].header))
    }

    /// Where a received datagram came from.
    public func source(_ place: Int) -> Endpoint { addresses[place].endpoint }

    /// Whether the datagram was longer than its buffer.
    public func isTruncated(_ place: Int) -> Bool {
        messages[place].header.msg_flags & CInt(MSG_TRUNC) != 0
    }
}
