import Glibc
import Testing
import VXWire

@testable import VXLinux

/// The borders to the kernel, on the loopback interface and in a directory of the test's own.
@Suite struct KernelTests {
    private static let loopback = Endpoint(address: .v4(IPv4Address(0x7f00_0001)), port: 0)
    private static let loopback6 = Endpoint(address: .v6(IPv6Address(high: 0, low: 1)), port: 0)

    private func directory() throws -> String {
        var template = Array("/tmp/vxseal-test-XXXXXX".utf8CString)
        _ = try #require(template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) })
        return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private func contents(_ path: String) -> [UInt8]? {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let file = FileDescriptor(owning: number)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(file.rawValue, &bytes, bytes.count)
        return count < 0 ? nil : Array(bytes.prefix(count))
    }

    @Test("socket addresses hold either family; only a link-local address keeps its scope")
    func addresses() {
        let endpoints = [
            Endpoint(address: .v4(IPv4Address(0xc000_0201)), port: 47890),
            Endpoint(address: .v6(IPv6Address(high: 0xfd00_0000_0000_0000, low: 7)), port: 1),
            Endpoint(address: .v6(IPv6Address(high: 0xfe80_0000_0000_0000, low: 7)), port: 65535, scope: 3),
        ]
        for endpoint in endpoints { #expect(SocketAddress(endpoint).endpoint == endpoint) }
        let global = IPAddress.v6(IPv6Address(high: 0xfd00_0000_0000_0000, low: 7))
        #expect(SocketAddress(Endpoint(address: global, port: 1, scope: 3)).endpoint.scope == 0)
    }

    @Test("where no device is nothing is read, and every write fails")
    func absentDevice() {
        let device = TAPDevice.absent
        let frame = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 64)
        defer { frame.deallocate() }
        frame.initializeMemory(as: UInt8.self, repeating: 0, count: 2048)
        var piece = iovec(iov_base: frame, iov_len: 60)
        let (read, isWritten) = (
            device.readFrame(into: frame + 64, size: 1024), device.writeFrame(pieces: &piece, count: 1)
        )
        let isGone = device.isGone
        #expect(read == nil && !isWritten)
        #expect(!isGone, "nobody has removed it")
    }

    @Test("numeric names resolve, a name that cannot exist says why")
    func names() throws {
        let found = try NameLookup.endpoint(of: "127.0.0.1", port: 5).get()
        #expect(found.port == 5 && found.address == Self.loopback.address)
        guard case .failure(let failure) = NameLookup.endpoint(of: "nowhere.invalid", port: 5) else {
            Issue.record("nowhere.invalid has an address")
            return
        }
        #expect(!failure.text.isEmpty)
    }

    @Test("the loopback's address is this machine's; one for documentation is not")
    func localAddresses() {
        #expect(LocalAddresses.contains(Self.loopback.address))
        #expect(!LocalAddresses.contains(.v4(IPv4Address(0xcb00_71fe))))
    }

    @Test("of a steered group each socket gets its own lanes, and the first whatever is no transport data")
    func laneSteering() throws {
        var options = UDPSocketOptions()
        options.reusePort = true
        let first = try UDPSocket(bind: Self.loopback, options: options)
        let endpoint = Endpoint(address: Self.loopback.address, port: first.port)
        let even = try UDPSocket(bind: endpoint, options: options)
        let odd = try UDPSocket(bind: endpoint, options: options)
        try first.steerLanes(threads: 2)
        let sender = try UDPSocket(bind: Self.loopback, options: UDPSocketOptions())
        for bytes: [UInt8] in [[4, 0], [4, 1], [4, 2], [4, 15], [1, 1], [2], []] {
            #expect(sender.send(bytes, to: endpoint) == 0)
        }
        func received(_ socket: borrowing UDPSocket) -> [[UInt8]] {
            var all: [[UInt8]] = []
            while let (bytes, _) = socket.receive(limit: 16) { all.append(bytes) }
            return all
        }
        // The loopback delivers before `send` returns.
        #expect(received(even) == [[4, 0], [4, 2]])
        #expect(received(odd) == [[4, 1], [4, 15]])
        #expect(received(first).prefix(2) == [[1, 1], [2]])
    }

    @Test("a socket that only sends receives nothing")
    func rejecting() throws {
        let socket = try UDPSocket(bind: Self.loopback, options: UDPSocketOptions())
        try socket.rejectAll()
        let sender = try UDPSocket(bind: Self.loopback, options: UDPSocketOptions())
        _ = sender.send([4, 0], to: Endpoint(address: Self.loopback.address, port: socket.port))
        #expect(socket.receive(limit: 16) == nil)
    }

    @Test("a wake-up makes its loop's wait return until it is cleared")
    func wakeUp() throws {
        let loop = try EventLoop()
        let wakeUp = try WakeUp()
        var ready = EventLoop.ReadyList(capacity: 4)
        try loop.add(wakeUp.descriptor, token: 77)
        loop.wait(into: &ready, timeoutMilliseconds: 0)
        #expect(ready.count == 0)
        wakeUp.signal()
        wakeUp.signal()
        loop.wait(into: &ready, timeoutMilliseconds: 0)
        #expect(ready.count == 1 && ready[0] == 77)
        wakeUp.clear()
        loop.wait(into: &ready, timeoutMilliseconds: 0)
        #expect(ready.count == 0)
    }

    @Test("a file is replaced whole with its mode; what fails leaves the old one and nothing beside it")
    func durableFiles() throws {
        let directory = try directory()
        defer { rmdir(directory) }
        let path = directory + "/file"
        defer { unlink(path) }
        try DurableFile.replace(path, with: [1, 2, 3], mode: 0o600)
        try DurableFile.replace(path, with: [4], mode: 0o600)
        #expect(contents(path) == [4])
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(throws: SystemCallError.self) {
            try DurableFile.createExclusively(path, bytes: [5], mode: 0o600)
        }
        #expect(contents(path) == [4])
        // A directory can't be replaced by a file.
        let taken = directory + "/taken"
        mkdir(taken, 0o700)
        defer { rmdir(taken) }
        #expect(throws: SystemCallError.self) { try DurableFile.replace(taken, with: [6], mode: 0o600) }
        #expect(contents(taken + ".new") == nil)
        // A full disk: nothing half-written stays.
        do {
            try DurableFile.createExclusively("/dev/full/x", bytes: [7], mode: 0o600)
            Issue.record("a file below a device")
        } catch { #expect(error.call == "open" && error.code == ENOTDIR) }
    }

    @Test(
        "batches arrive whole and in order over either family; a longer datagram is marked as cut",
        arguments: [false, true]
    )
    func batches(overIPv6: Bool) throws {
        let address = overIPv6 ? Self.loopback6 : Self.loopback
        let receiver = try UDPSocket(bind: address, options: UDPSocketOptions())
        let sender = try UDPSocket(bind: address, options: UDPSocketOptions())
        #expect(receiver.isIPv6 == overIPv6 && receiver.port != 0)
        let target = Endpoint(address: address.address, port: receiver.port)
        var sending = DatagramVector(sending: 4)
        var receiving = DatagramVector(receiving: 8, datagramSize: 100, headroom: 16)
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 400, alignment: 8)
        defer { bytes.deallocate() }
        for place in 0..<400 {
            bytes.storeBytes(of: UInt8(truncatingIfNeeded: place), toByteOffset: place, as: UInt8.self)
        }
        sending.append(base: bytes, count: 100, segmentSize: 100, to: target)
        sending.append(base: bytes + 100, count: 0, segmentSize: 0, to: target)
        sending.append(base: bytes + 7, count: 101, segmentSize: 101, to: target)
        let outcome = sending.send(on: sender)
        #expect(outcome.failed == 0 && outcome.tooBig == 0)
        let loop = try EventLoop()
        try loop.add(receiver.descriptor, token: 0)
        var ready = EventLoop.ReadyList(capacity: 1)
        var lengths: [Int] = []
        var cut: [Bool] = []
        while lengths.count < 3 {
            loop.wait(into: &ready, timeoutMilliseconds: 5_000)
            try #require(ready.count == 1, "nothing arrived within 5 s")
            for place in 0..<receiving.receive(on: receiver) {
                lengths.append(receiving.length(place))
                cut.append(receiving.isTruncated(place))
                #expect(receiving.source(place).port == sender.port)
                if lengths.count == 1 { #expect(memcmp(receiving.base(place), bytes, 100) == 0) }
            }
        }
        #expect(lengths == [100, 0, 100] && cut == [false, false, true])
    }

    @Test("a run of equal datagrams arrives as one where asked for, else one by one", arguments: [false, true])
    func runs(joined: Bool) throws {
        var options = UDPSocketOptions()
        options.receivesRuns = joined
        let receiver = try UDPSocket(bind: Self.loopback, options: options)
        let sender = try UDPSocket(bind: Self.loopback, options: UDPSocketOptions())
        let (receivesRuns, sendsRuns) = (receiver.receivesRuns == joined, sender.sendsRuns())
        #expect(receivesRuns && sendsRuns)
        var sending = DatagramVector(sending: 1)
        var receiving = DatagramVector(receiving: 16, datagramSize: 65_536, headroom: 16)
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 1050, alignment: 8)
        defer { bytes.deallocate() }
        for place in 0..<1050 {
            bytes.storeBytes(of: UInt8(truncatingIfNeeded: place), toByteOffset: place, as: UInt8.self)
        }
        let target = Endpoint(address: Self.loopback.address, port: receiver.port)
        sending.append(base: bytes, count: 1050, segmentSize: 100, to: target)
        let outcome = sending.send(on: sender)
        #expect(outcome.failed == 0 && outcome.tooBig == 0 && outcome.refusedRun == 0)
        let loop = try EventLoop()
        try loop.add(receiver.descriptor, token: 0)
        var ready = EventLoop.ReadyList(capacity: 1)
        var arrived: [UInt8] = []
        while arrived.count < 1050 {
            loop.wait(into: &ready, timeoutMilliseconds: 5_000)
            try #require(ready.count == 1, "nothing arrived within 5 s")
            for place in 0..<receiving.receive(on: receiver) {
                #expect(receiving.segmentSize(place) == (joined ? 100 : 0))
                arrived += UnsafeRawBufferPointer(start: receiving.base(place), count: receiving.length(place))
            }
        }
        #expect(arrived == (0..<1050).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test("a second socket on a port in use names the call; one refused datagram doesn't keep back the rest")
    func refusals() throws {
        let first = try UDPSocket(bind: Self.loopback, options: UDPSocketOptions())
        do {
            _ = try UDPSocket(
                bind: Endpoint(address: Self.loopback.address, port: first.port),
                options: UDPSocketOptions()
            )
            Issue.record("two sockets on one port")
        } catch { #expect(error.isAddressInUse && error.call == "bind") }
        var sending = DatagramVector(sending: 2)
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
        defer { bytes.deallocate() }
        bytes.storeBytes(of: 9, as: UInt64.self)
        // Port 0 is nobody's: EINVAL.
        sending.append(base: bytes, count: 8, segmentSize: 8, to: Endpoint(address: Self.loopback.address, port: 0))
        sending.append(
            base: bytes,
            count: 8,
            segmentSize: 8,
            to: Endpoint(address: Self.loopback.address, port: first.port)
        )
        let outcome = sending.send(on: first)
        #expect(outcome.failed == 1)
        #expect(first.receive(limit: 100)?.bytes.count == 8)
    }
}
