import Testing
import VXWire

@Suite("Control messages")
struct ControlMessageTests {
    private static let echo = ControlMessage.Echo(
        identifier: 0x0102_0304,
        sequence: 5,
        sentAt: 6,
        opaque: [0xaa, 0xbb]
    )
    private static let lanes = [
        ControlMessage.LaneReport(highestCounter: 1 << 40, received: 9),
        ControlMessage.LaneReport(highestCounter: 0, received: 0),
    ]

    // The macros cannot hold a span.
    private func parse(_ body: [UInt8]) -> ControlMessage.Parsed { ControlMessage.parse(body.span.bytes) }

    @Test(arguments: [
        (ControlMessage.echoRequest(echo), "01 01020304 00000005 0000000000000006 aabb"),
        (.echoReply(echo), "02 01020304 00000005 0000000000000006 aabb"),
        (.goodbye(reason: 7), "05 07"),
        (.report(lanes), "0a 0000010000000000 0000000000000009 0000000000000000 0000000000000000"),
        (.ports(.lanes), "0b 00"),
        (.ports(.fixed), "0b 01"),
        (.hello(name: "nœud"), "0c 6ec5937564"),
        (.hello(name: ""), "0c"),
        (
            .traceRequest(FrameTrace.Request(identifier: 7, vni: VNI(truncating: 42), frame: [0xaa, 0xbb])),
            "0d 00000007 00002a 00 aabb"
        ),
        (
            .traceReply(FrameTrace.Reply(identifier: 7, fate: .dropped, nanoseconds: 9, reason: "macFlap")),
            "0e 00000007 02 000000 0000000000000009 6d6163466c6170"
        ),
        (
            .traceReply(FrameTrace.Reply(identifier: 7, fate: .device, nanoseconds: 9, reason: "")),
            "0e 00000007 00 000000 0000000000000009"
        ),
    ])
    func goldenBytes(message: ControlMessage, golden: String) {
        #expect(message.bytes == hex(golden))
        #expect(parse(hex(golden)) == .message(message))
    }

    @Test(arguments: [
        "", "01 01020304 00000005 00000000000000", "02", "05", "0a", "0a 00", "0b", "0b 02",
        // A reserved byte, a fate that is none, a reason without a drop, a drop without one, a reason that drives a terminal.
        "0d 00000007 00002a 01 aabb", "0d 00000007 00002a", "0e 00000007 03 000000 0000000000000009",
        "0e 00000007 00 000000 0000000000000009 61", "0e 00000007 02 000000 0000000000000009",
        "0e 00000007 02 000000 0000000000000009 1b5b", "0e 00000007 00 000001 0000000000000009",
        "0a 0000010000000000 0000000000000009 00", "0c ff", "0c ed a0 80", "0c c3",
    ])
    func malformed(body: String) {
        #expect(parse(hex(body)) == .drop(.malformedControl))
    }

    @Test func limits() {
        let lane = hex("0000000000000001 0000000000000001")
        let sixteen = [hex("0a")] + [[UInt8]](repeating: lane, count: 16)
        #expect(parse(sixteen.flatMap { $0 }) != .drop(.malformedControl))
        #expect(parse((sixteen + [lane]).flatMap { $0 }) == .drop(.malformedControl))
        let name = [0x0c] + [UInt8](repeating: 0x61, count: 65)
        #expect(parse(name) == .drop(.malformedControl))
        #expect(parse(name.dropLast()) != .drop(.malformedControl))
    }

    @Test func typesNotActedOn() {
        for type in UInt8.min...UInt8.max where !(1...14).contains(type) {
            #expect(parse([type, 0, 0]) == .drop(.unknownControl))
        }
        #expect(ControlType.allCases.map(\.rawValue) == [UInt8](1...14))
    }

    @Test func laterFieldsAreIgnored() {
        #expect(parse(hex("05 01 ffff")) == .message(.goodbye(reason: 1)))
        #expect(parse(hex("0b 01 ff")) == .message(.ports(.fixed)))
    }

    @Test func longNamesAreCutBetweenCharacters() {
        let bytes = ControlMessage.hello(name: String(repeating: "a", count: 63) + "éb").bytes
        #expect(bytes == [0x0c] + [UInt8](repeating: 0x61, count: 63))
    }

    @Test func namesCannotDriveATerminal() {
        let body = [0x0c] + [UInt8]("a\u{1b}[2J\n\u{202e}b".utf8)
        let expected = ControlMessage.hello(name: "a\u{fffd}[2J\u{fffd}\u{fffd}b")
        #expect(parse(body) == .message(expected))
    }
}
