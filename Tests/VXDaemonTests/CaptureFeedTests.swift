import Testing
import VXControlSocket
import VXCrypto
import VXDataPlane
import VXWire

@testable import VXConfig
@testable import VXDaemon
@testable import VXRuntime

/// From the threads' buffers to pcapng.
@Suite struct CaptureFeedTests {
    private let roster: Roster
    private let buffers = [CaptureBuffer(networks: 2), CaptureBuffer(networks: 2, capacity: 1 << 18)]

    init() throws {
        let configuration = TestConfiguration.node(
            [TestConfiguration.network(42), TestConfiguration.network(43)],
            [
                TestConfiguration.peer("b", StaticKeyPair().publicKey, in: [42]),
                TestConfiguration.peer("c", StaticKeyPair().publicKey, in: [43]) {
                    $0.endpoint = Endpoint("192.0.2.3:47890")
                },
            ]
        )
        roster = try Roster(starting: configuration, lanes: 1, mtus: [1400, 1400])
    }

    private func feed(_ request: CaptureRequest) -> CaptureFeed {
        let networks: [VNI?] = [VNI(truncating: 42), VNI(truncating: 43)]
        let own = Endpoint(address: .v4(IPv4Address(0xc000_0201)), port: 47890)
        return CaptureFeed(
            request: request,
            roster: roster,
            networks: networks,
            addresses: UnderlayAddresses(listen: [own])
        )
    }

    private func label(at time: UInt64, vni: UInt32? = 42, peer: UInt16? = 0) -> CaptureLabel {
        var label = CaptureLabel(time: Instant(nanoseconds: time), isOuter: false, isSent: false, length: 60)
        label.vni = vni.map { VNI(truncating: $0) }
        label.network = vni.map { Int32($0) - 42 } ?? -1
        label.peer = peer.map { PeerIndex($0) }
        return label
    }

    /// Puts packets into a buffer, one byte each that counts them.
    private func put(_ labels: [CaptureLabel], into buffer: Int) {
        var taps = CaptureTaps()
        var filter = CaptureFilter()
        filter.outer = true
        filter.drops = .included
        taps.set(CaptureProgram(filter: filter, buffer: buffers[buffer]), at: 0)
        for (number, label) in labels.enumerated() {
            [UInt8(truncatingIfNeeded: number)].withUnsafeBytes {
                guard let base = $0.baseAddress else { return }
                taps.offer(base, count: 1, label: label)
            }
        }
    }

    private func blocks(_ bytes: [UInt8]) throws -> [PcapngBlock] {
        var stream = PcapngBlocks()
        stream.append(bytes)
        var found: [PcapngBlock] = []
        while let block = try stream.takeNext() { found.append(block) }
        return found
    }

    /// A packet's comment, which follows its bytes and flags.
    private func comment(_ block: PcapngBlock) -> String {
        let bytes = Array(block.bytes)
        let option = 28 + (Int(bytes[20]) + 3) / 4 * 4 + 8
        let length = Int(bytes[option + 2]) | Int(bytes[option + 3]) << 8
        return String(decoding: bytes[option + 4..<option + 4 + length], as: UTF8.self)
    }

    @Test("an interface for each network that is asked for, and the underlay's first")
    func interfaces() throws {
        var feed = feed(CaptureRequest(inner: true, outer: true))
        #expect(try blocks(feed.begin(at: 1)).map(\.kind) == [PcapngBlock.Kind.section, 1, 1, 1])
        var request = CaptureRequest()
        request.vni = 43
        feed = self.feed(request)
        let found = try blocks(feed.begin(at: 1))
        #expect(found.map(\.kind) == [PcapngBlock.Kind.section, 1])
        #expect(String(decoding: found[1].bytes, as: UTF8.self).contains("vxs43"))
    }

    @Test("packets of all threads come in the order of their times, each once")
    func order() throws {
        var feed = feed(CaptureRequest())
        _ = feed.begin(at: 1)
        put([label(at: 10), label(at: 30), label(at: 50, vni: 43, peer: 1)], into: 0)
        put([label(at: 20), label(at: 40, vni: 43, peer: 1), label(at: 60)], into: 1)
        let found = try blocks(feed.drain(buffers, roster: roster))
        // The byte that counts a buffer's packets.
        #expect(found.map { $0.bytes[$0.bytes.startIndex + 28] } == [0, 0, 1, 1, 2, 2])
        #expect(found.map(\.interface) == [0, 0, 0, 1, 1, 0])
        #expect(comment(found[0]) == "peer=b vni=42 lane=0 direction=in")
        #expect(comment(found[4]) == "peer=c vni=43 lane=0 direction=in")
        #expect(feed.drain(buffers, roster: roster).isEmpty)
        #expect(feed.captured == 6 && feed.lost == 0)
    }

    @Test("a comment says what is known and nothing else")
    func comments() {
        var label = label(at: 1)
        label.isSent = true
        label.lane = 3
        label.epoch = 12
        label.segmentSize = 1348
        label.isPartial = true
        #expect(
            CaptureFeed.comment(label, peer: "b")
                == "peer=b vni=42 lane=3 direction=out epoch=12 super-frame=1348 checksum=partial"
        )
        var handshake = CaptureLabel(time: Instant(nanoseconds: 1), isOuter: true, isSent: false, length: 1)
        handshake.lane = CaptureLabel.noLane
        handshake.dropped = .invalidMac1
        #expect(CaptureFeed.comment(handshake, peer: nil) == "lane=handshake direction=in drop=invalidMac1")
    }

    @Test("a packet of an index that is another peer's by now is none of the peer's")
    func formerPeer() throws {
        var request = CaptureRequest()
        request.peer = "b"
        var feed = feed(request)
        _ = feed.begin(at: 1)
        put([label(at: 1), label(at: 2, peer: 1), label(at: 3, peer: nil)], into: 0)
        let found = try blocks(feed.drain(buffers, roster: roster))
        #expect(found.map(comment) == ["peer=b vni=42 lane=0 direction=in", "vni=42 lane=0 direction=in"])
    }

    @Test("losses are told before the packets behind them, by interface, and frames of no network have one too")
    func losses() throws {
        var feed = feed(CaptureRequest())
        _ = feed.begin(at: 1)
        // More than fits into the second buffer.
        put((0..<4_000).map { label(at: UInt64($0)) }, into: 1)
        var found = try blocks(feed.drain(buffers, roster: roster))
        let kept = found.count { $0.kind == PcapngBlock.Kind.packet }
        #expect(kept > 0 && kept < 4_000)
        #expect(found[0].kind == PcapngBlock.Kind.statistics && found[0].dropped == UInt64(4_000 - kept))
        put([label(at: 5_000, vni: nil)], into: 0)
        found = try blocks(feed.drain(buffers, roster: roster))
        #expect(found.map(\.kind) == [PcapngBlock.Kind.interface, PcapngBlock.Kind.packet])
        #expect(found.last?.interface == 2)
        found = try blocks(feed.statistics(of: buffers))
        #expect(found.map(\.dropped) == [UInt64(4_000 - kept), 0, 0])
        #expect(feed.captured == UInt64(kept + 1) && feed.lost == UInt64(4_000 - kept))
    }

    @Test("a datagram stands behind the headers that it had")
    func datagram() throws {
        var feed = feed(CaptureRequest(inner: false, outer: true))
        _ = feed.begin(at: 1)
        var label = CaptureLabel(time: Instant(nanoseconds: 1), isOuter: true, isSent: true, length: 1)
        label.remote = Endpoint("192.0.2.2:47890")
        label.localPort = 50_000
        put([label], into: 0)
        let block = try #require(try blocks(feed.drain(buffers, roster: roster)).first)
        let packet = block.bytes.dropFirst(28).prefix(29)
        #expect(Array(packet.dropFirst(12).prefix(12)) == [192, 0, 2, 1, 192, 0, 2, 2, 0xc3, 0x50, 0xbb, 0x12])
    }

    @Test("what no capture can be of is refused with how to mend it")
    func refusals() throws {
        let board = StatusBoard(endpoints: [:])
        func refusal(_ change: (inout CaptureRequest) -> Void) -> String? {
            var request = CaptureRequest()
            change(&request)
            do {
                _ = try CaptureCompiler(request: request, roster: RosterBoard(roster), board: board).filter()
                return nil
            } catch { return error.text }
        }
        #expect(refusal { $0.peer = "b" } == nil)
        #expect(refusal { $0.peer = "x" }?.contains("vxseal peers") == true)
        #expect(refusal { $0.vni = 44 }?.contains("vxseal status") == true)
        #expect(refusal { $0.mac = "x" }?.contains("02:00:00:00:00:07") == true)
        #expect(refusal { $0.ip = "x" }?.contains("fd98::7") == true)
        #expect(refusal { $0.direction = "up" }?.contains("in, from peers") == true)
        #expect(refusal { $0.drops = "some" }?.contains("only") == true)
        #expect(refusal { $0.snap = 0 }?.contains("at least 1") == true)
        #expect(refusal { $0.inner = false }?.contains("neither") == true)
    }
}
