import Testing
import VXWire

@Suite("Records")
struct RecordReaderTests {
    private func steps(_ bytes: [UInt8]) -> [RecordStep] {
        var reader = RecordReader()
        var steps: [RecordStep] = []
        while true {
            let step = reader.next(in: bytes.span.bytes)
            steps.append(step)
            guard case .end = step else { continue }
            // It stays at its end.
            if case .end = reader.next(in: bytes.span.bytes) { return steps }
            Issue.record("a record behind the end")
        }
    }

    @Test func vector() {
        let frame = RecordStep.frame(offset: 4, length: 68, checksumPartial: false)
        #expect(steps(Sample.records) == [frame, .end(nil)])
        #expect(steps([]) == [.end(nil)])
    }

    @Test func kindsAndFlags() {
        #expect(
            steps(hex("0101 0001 aa 0200 0002 0c41 0300 0001 bb 0102 0000 0201 0001 cc 0200 0000 00")) == [
                .frame(offset: 4, length: 1, checksumPartial: true),
                .control(offset: 9, length: 2),
                .skip(.unknownRecord),
                .skip(.unknownRecordFlags),
                .skip(.unknownRecordFlags),
                .control(offset: 29, length: 0),
                .end(nil),
            ]
        )
    }

    @Test func paddingEnds() {
        #expect(steps(hex("00")) == [.end(nil)])
        #expect(steps(hex("0200 0000 00ff ffff 0100")) == [.control(offset: 4, length: 0), .end(nil)])
    }

    @Test func beyondTheEnd() {
        for count in 1..<Sample.records.count {
            #expect(steps([UInt8](Sample.records[..<count])) == [.end(.truncatedRecord)])
        }
        #expect(steps(hex("0200 0000 0100 0001")) == [.control(offset: 4, length: 0), .end(.truncatedRecord)])
        // An unknown kind is cut like any other.
        #expect(steps(hex("ffff ffff")) == [.end(.truncatedRecord)])
    }
}
