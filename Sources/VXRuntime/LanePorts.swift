public import VXLinux
import VXWire

/// The descriptors that one lane thread owns, and where each stands in its event loop.
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

    let events: EventLoop
    /// One queue of each network's device, by the place of the network.
    var devices: OwnedArray<TAPDevice>
    /// This lane's sockets of the sealed port, at most one a family.
    var sealed: OwnedArray<UDPSocket>
    /// The plaintext ports' sockets.
    var plaintext: OwnedArray<UDPSocket>
    /// Plaintext sending sockets: their ports are the outer source ports (RFC 7348, 5).
    var senders: OwnedArray<UDPSocket>
    private let firstIPv6Sender: Int

    /// Takes ownership of everything.
    public init(
        devices: consuming OwnedArray<TAPDevice>,
        sealed: consuming OwnedArray<UDPSocket>,
        plaintext: consuming OwnedArray<UDPSocket>,
        senders: consuming OwnedArray<UDPSocket>
    ) throws(SystemCallError) {
        events = try EventLoop()
        self.devices = devices
        self.sealed = sealed
        self.plaintext = plaintext
        var boundary = 0
        while boundary < senders.count, !senders[boundary].isIPv6 { boundary += 1 }
        firstIPv6Sender = boundary
        self.senders = senders
    }

    /// The place of the sealed socket of an address's family.
    func sealedSocket(for address: IPAddress) -> Int? {
        for place in 0..<sealed.count where sealed[place].isIPv6 == address.isIPv6 { return place }
        return nil
    }

    /// The place of the plaintext sending socket that a flow's hash picks.
    func sender(for address: IPAddress, hash: UInt32) -> Int? {
        // IPv4 senders stand first, IPv6 ones behind them.
        let first = firstIPv6Sender
        let range = address.isIPv6 ? first..<senders.count : 0..<first
        guard !range.isEmpty else { return nil }
        return range.lowerBound + Int(hash) % range.count
    }

    /// Registers every descriptor; called once, before the thread runs.
    func register(wakeUp: borrowing WakeUp) throws(SystemCallError) {
        try events.add(wakeUp.descriptor, token: Source.mailbox.token)
        for place in 0..<devices.count {
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
    }
}
