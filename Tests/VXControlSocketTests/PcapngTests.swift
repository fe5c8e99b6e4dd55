import Testing
import VXControlSocket

/// What the writer writes, read by the rules of draft-ietf-opsawg-pcapng alone.
@Suite struct PcapngTests {
    private func word(_ bytes: ArraySlice<UInt8>, _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[bytes.startIndex + offset + $1]) << UInt32($1 * 8) }
    }

    /// The options of a block: the code of each, and its value.
    private func options(_ block: PcapngBlock, from offset: Int) throws -> [UInt16: [UInt8]] {
        var found: [UInt16: [UInt8]] = [:]
        var place = offset
        while true {
            try #require(place + 8 <= block.bytes.count, "options end before the block's last length")
            let head = word(block.bytes, place)
            let (code, length) = (UInt16(truncatingIfNeeded: head), Int(head >> 16))
            if code == 0 {
                #expect(length == 0 && place + 8 == block.bytes.count)
                return found
            }
            #expect(found[code] == nil)
            found[code] = Array(block.bytes.dropFirst(place + 4).prefix(length))
            let padded = (length + 3) / 4 * 4
            #expect(block.bytes.dropFirst(place + 4 + length).prefix(padded - length).allSatisfy { $0 == 0 })
            place += 4 + padded
        }
    }

    private func written(_ body: (inout PcapngWriter) -> Void) throws -> [PcapngBlock] {
        var writer = PcapngWriter()
        body(&writer)
        var blocks = PcapngBlocks()
        blocks.append(writer.take())
        #expect(writer.bytes.isEmpty)
        var found: [PcapngBlock] = []
        while let block = try blocks.takeNext() { found.append(block) }
        return found
    }

    private func number(_ value: [UInt8]?) -> UInt64? {
        value.map { $0.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    }

    @Test("section header and interface")
    func head() throws {
        let blocks = try written { writer in
            writer.addSection(comment: "node=a")
            writer.addInterface(.raw, snap: 96, name: "underlay", description: "outer", filter: "peer b")
        }
        try #require(blocks.map(\.kind) == [0x0a0d_0d0a, 1])
        #expect(word(blocks[0].bytes, 8) == 0x1a2b_3c4d)
        #expect(word(blocks[0].bytes, 12) == 1, "version 1.0")
        #expect(word(blocks[0].bytes, 16) == .max && word(blocks[0].bytes, 20) == .max)
        let section = try options(blocks[0], from: 24)
        #expect(section == [4: Array("vxseal".utf8), 1: Array("node=a".utf8)])
        #expect(word(blocks[1].bytes, 8) == 101, "LINKTYPE_RAW")
        #expect(word(blocks[1].bytes, 12) == 96)
        let interface = try options(blocks[1], from: 16)
        #expect(interface[2] == Array("underlay".utf8) && interface[3] == Array("outer".utf8))
        #expect(interface[9] == [9], "nanoseconds")
        #expect(interface[11] == [0] + Array("peer b".utf8))
    }

    @Test("packets of every length modulo 4, cut and whole, in both directions", arguments: 0..<9)
    func packet(count: Int) throws {
        let body = (0..<count).map { UInt8($0 + 1) }
        let header: [UInt8] = [0x45, 0xff]
        let blocks = try written { writer in
            for isSent in [false, true] {
                let packet = PcapngWriter.Packet(
                    interface: 3,
                    time: 0x0123_4567_89ab_cdef,
                    length: 1500,
                    isSent: isSent,
                    comment: "peer=b"
                )
                body.withUnsafeBytes { unsafe writer.add(packet, header: header, body: $0) }
            }
        }
        try #require(blocks.map(\.kind) == [6, 6])
        for (block, direction) in zip(blocks, [1, 2] as [UInt64]) {
            #expect(block.interface == 3)
            #expect(word(block.bytes, 12) == 0x0123_4567 && word(block.bytes, 16) == 0x89ab_cdef)
            #expect(word(block.bytes, 20) == UInt32(count + 2) && word(block.bytes, 24) == 1500)
            #expect(Array(block.bytes.dropFirst(28).prefix(count + 2)) == header + body)
            let found = try options(block, from: 28 + (count + 5) / 4 * 4)
            #expect(number(found[2]) == direction)
            #expect(found[1] == Array("peer=b".utf8))
        }
    }

    @Test("statistics tell what is in the file and what was lost")
    func statistics() throws {
        let lost: UInt64 = 1 << 33 + 2
        let blocks = try written { writer in
            writer.addStatistics(
                interface: 1,
                start: 5 << 32 | 7,
                end: 6 << 32 | 8,
                delivered: 10,
                dropped: lost
            )
        }
        try #require(blocks.map(\.kind) == [5])
        #expect(blocks[0].interface == 1)
        #expect(blocks[0].dropped == lost)
        #expect(word(blocks[0].bytes, 12) == 6 && word(blocks[0].bytes, 16) == 8)
        let found = try options(blocks[0], from: 20)
        #expect(found[2] == [5, 0, 0, 0, 7, 0, 0, 0] && found[3] == [6, 0, 0, 0, 8, 0, 0, 0])
        #expect(number(found[4]) == 10 + lost && number(found[5]) == lost && number(found[8]) == 10)
    }

    @Test("a stream is divided the same however it is cut", arguments: 1..<40)
    func cuts(piece: Int) throws {
        var writer = PcapngWriter()
        writer.addSection(comment: "x")
        for length in 0..<6 {
            let packet = PcapngWriter.Packet(interface: 0, time: 1, length: length, isSent: true, comment: "c")
            [UInt8](repeating: 7, count: length).withUnsafeBytes { unsafe writer.add(packet, body: $0) }
        }
        let stream = writer.take()
        var blocks = PcapngBlocks()
        var found: [UInt8] = []
        var count = 0
        for start in stride(from: 0, to: stream.count, by: piece) {
            blocks.append(stream[start..<min(start + piece, stream.count)])
            while let block = try blocks.takeNext() {
                found += block.bytes
                count += 1
            }
        }
        #expect(found == stream && count == 7)
    }

    @Test(
        "what is no pcapng is refused",
        arguments: [
            [UInt8]("{\"error\":{}}".utf8), [UInt8](repeating: 0, count: 64),
            // Two lengths that differ.
            [6, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0],
            // Longer than any block.
            [6, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0],
        ]
    )
    func garbage(bytes: [UInt8]) {
        var blocks = PcapngBlocks()
        blocks.append(bytes)
        #expect(throws: PcapngBlocks.Malformed.self) { try blocks.takeNext() }
    }

    @Test("options of statistics that reach beyond the block tell nothing")
    func liar() throws {
        var bytes: [UInt8] = [5, 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 8, 0, 28, 0, 0, 0]
        var blocks = PcapngBlocks()
        blocks.append(bytes)
        #expect(try blocks.takeNext()?.dropped == nil)
        bytes[22] = 0xff
        blocks.append(bytes)
        #expect(try blocks.takeNext()?.dropped == nil)
    }
}
