import Testing

@testable import VXControl

/// What comes in pieces.
@Suite struct LineSplitterTests {
    @Test func linesComeWholeHoweverTheyAreCut() throws {
        let text = "one\n\ntwo and more\nthree\n"
        for size in 1...text.utf8.count {
            var splitter = LineSplitter(limit: 12)
            var lines: [String] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                splitter.append(rest.prefix(size))
                rest = rest.dropFirst(size)
                while let line = try splitter.next() { lines.append(String(decoding: line, as: UTF8.self)) }
            }
            #expect(lines == ["one", "", "two and more", "three"])
        }
    }

    @Test func aLineThatIsTooLongIsAnErrorWithAndWithoutItsEnd() throws {
        for text in ["12345", "12345\n"] {
            var splitter = LineSplitter(limit: 4)
            splitter.append(("1234\n" + text).utf8)
            #expect(try splitter.next().map { String(decoding: $0, as: UTF8.self) } == "1234")
            #expect(throws: LineSplitter.TooLong.self) { try splitter.next() }
        }
    }
}
