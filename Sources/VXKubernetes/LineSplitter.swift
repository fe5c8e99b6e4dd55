import NIOCore

/// Cuts a stream into lines, none longer than a limit.
struct LineSplitter: Sendable {
    /// A line is longer.
    struct TooLong: Error {}

    private let limit: Int
    private var rest = ByteBuffer()
    /// How much of `rest` is known to have no end of line.
    private var searched = 0

    /// - Parameter limit: bytes of the longest line.
    init(limit: Int) { self.limit = limit }

    /// Takes what came.
    mutating func append(_ piece: ByteBuffer) {
        rest.discardReadBytes()
        rest.writeImmutableBuffer(piece)
    }

    /// The next whole line, without its end; nil where more has to come.
    mutating func next() throws(TooLong) -> ByteBuffer? {
        let view = rest.readableBytesView
        guard let end = view.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) else {
            searched = view.count
            if searched > limit { throw TooLong() }
            return nil
        }
        let length = end - view.startIndex
        guard length <= limit else { throw TooLong() }
        searched = 0
        let line = rest.readSlice(length: length)
        rest.moveReaderIndex(forwardBy: 1)
        return line
    }
}
