public import VXLinux
import VXWire

/// The descriptors that one lane thread owns, and where each stands in its event loop. Made empty and filled by whoever
/// opens them.
public struct LanePorts: ~Copyable {
    /// Where an event came from, packed into the event loop's 64-bit token.
    enum Source {
        case mailbox
        case device(Int)
        case sealed(Int)
        case plaintext(Int)

        init(token: UInt64) {
            let number = Int(token & 0xffff_ffff)
            switch token >> 32 {
            case 1: self = .device(number)
            case 2: self = .sealed(number)
            case 3: self = .plaintext(number)
            default: self = .mailbox
            }
        }

        var token: UInt64 {
            switch self {
            case .mailbox: 0
            case .device(let number): 1 << 32 | UInt64(number)
            case .sealed(let number): 2 << 32 | UInt64(number)
            case .plaintext(let number): 3 << 32 | UInt64(number)
            }
        }
    }

    /// A socket that a datagram leaves from.
    enum Sender: Equatable {
        /// Of the sealed port.
        case sealed(Int)
        /// This lane's own, for sealed datagrams.
        case own(Int)
        /// For plaintext datagrams.
        case plaintext(Int)
    }

    let events: EventLoop
    /// One queue of each network's device, by the place of the network.
    public var devices = OwnedArray<TAPDevice>()
    /// How many times each device was made again.
    private(set) var generations: [Int] = []
    /// This lane's sockets of the sealed port's groups, at most one a family.
    public var sealed = OwnedArray<UDPSocket>()
    /// This lane's own sending sockets for sealed datagrams, at most one a family; none for lane 0 and with
    /// `sourcePorts: fixed`.
    public var own = OwnedArray<UDPSocket>()
    /// This lane's sockets of the plaintext ports' groups.
    public var plaintext = OwnedArray<UDPSocket>()
    /// Plaintext sending sockets, IPv4 ones first: their ports are the outer source ports (RFC 7348, 5).
    public var senders = OwnedArray<UDPSocket>()
    private var firstIPv6Sender = 0

    /// No descriptors yet but the event loop's.
    public init(events: consuming EventLoop) { self.events = events }

    /// The socket that a sealed datagram to an address leaves from; the sealed port's where the lane has no other.
    func sealedSender(for address: IPAddress, fromOwnPort: Bool) -> Sender? {
        if fromOwnPort {
            for place in 0..<own.count where own[place].isIPv6 == address.isIPv6 { return .own(place) }
        }
        for place in 0..<sealed.count where sealed[place].isIPv6 == address.isIPv6 { return .sealed(place) }
        return nil
    }

    /// The plaintext sending socket that a flow's hash picks.
    func plaintextSender(for address: IPAddress, hash: UInt32) -> Sender? {
        let first = firstIPv6Sender
        let range = address.isIPv6 ? first..<senders.count : 0..<first
        guard !range.isEmpty else { return nil }
        return .plaintext(range.lowerBound + Int(hash) % range.count)
    }

    /// The local port of a sender.
    func port(of sender: Sender) -> UInt16 {
        switch sender {
        case .sealed(let place): sealed[place].port
        case .own(let place): own[place].port
        case .plaintext(let place): senders[place].port
        }
    }

    /// What all devices and all sealed sockets of the lane can do.
    public func offloads() -> (taps: TAPOffloads, sendsRuns: Bool, receivesRuns: Bool) {
        var able = (taps: TAPOffloads.all, sendsRuns: true, receivesRuns: true)
        for place in 0..<devices.count { able.taps.formIntersection(devices[place].offloads) }
        for place in 0..<sealed.count {
            able.sendsRuns = able.sendsRuns && sealed[place].sendsRuns()
            able.receivesRuns = able.receivesRuns && sealed[place].receivesRuns
        }
        return able
    }

    /// Listens no more to a device that is gone: its queue would be ready for ever.
    mutating func forgetDevice(_ network: Int) { events.remove(devices[network].descriptor) }

    /// The network is gone: gives its queue away. Whoever closes the last one waits until the kernel has removed the device,
    /// which a lane has no time for.
    mutating func takeDevice(_ network: Int) -> TAPDevice {
        var device = TAPDevice.absent
        guard network < devices.count else { return device }
        events.remove(devices[network].descriptor)
        swap(&devices[network], &device)
        return device
    }

    /// No plaintext is received or sent any more.
    mutating func closePlaintext() {
        plaintext = OwnedArray()
        senders = OwnedArray()
        firstIPv6Sender = 0
    }

    /// Takes a queue in the place of one whose device is gone, or of a new network's.
    mutating func replaceDevice(_ network: Int, by queue: consuming TAPDevice, generation: Int) throws(SystemCallError)
    {
        while devices.count <= network {
            devices.append(TAPDevice.absent)
            generations.append(0)
        }
        // Closing the old queue takes it out of the event loop.
        devices[network] = queue
        generations[network] = generation
        if devices[network].isAbsent { return }
        try events.add(devices[network].descriptor, token: Source.device(network).token)
    }

    /// Registers every descriptor; called once, before the thread runs.
    mutating func register(wakeUp: borrowing WakeUp) throws(SystemCallError) {
        while firstIPv6Sender < senders.count, !senders[firstIPv6Sender].isIPv6 { firstIPv6Sender += 1 }
        try events.add(wakeUp.descriptor, token: Source.mailbox.token)
        generations = Array(repeating: 0, count: devices.count)
        for place in 0..<devices.count where !devices[place].isAbsent {
            try events.add(devices[place].descriptor, token: Source.device(place).token)
        }
        for place in 0..<sealed.count {
            try events.add(sealed[place].descriptor, token: Source.sealed(place).token)
        }
        for place in 0..<plaintext.count {
            try events.add(plaintext[place].descriptor, token: Source.plaintext(place).token)
        }
    }
}

/// A growing row of non-copyable values, each owned once.
public struct OwnedArray<Element: ~Copyable>: ~Copyable {
    private var storage: UnsafeMutablePointer<Element>
    private var capacity: Int
    /// How many it holds.
    public private(set) var count = 0

    /// An empty row.
    public init() {
        capacity = 4
        storage = .allocate(capacity: capacity)
    }

    deinit {
        storage.deinitialize(count: count)
        storage.deallocate()
    }

    /// Adds one.
    public mutating func append(_ element: consuming Element) {
        if count == capacity {
            let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: storage, count: count)
            storage.deallocate()
            storage = larger
            capacity *= 2
        }
        (storage + count).initialize(to: element)
        count += 1
    }

    /// Lends one.
    public subscript(place: Int) -> Element {
        unsafeAddress {
            precondition(place >= 0 && place < count, "no such element")
            return UnsafePointer(storage + place)
        }
        unsafeMutableAddress {
            precondition(place >= 0 && place < count, "no such element")
            return storage + place
        }
    }

    /// Gives the last one away; nil when there is none.
    public mutating func takeLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        return (storage + count).move()
    }
}
