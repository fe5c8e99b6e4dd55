/// Cuts a stream into lines, none longer than a limit: what directories tell as it happens comes in lines.
package struct LineSplitter: Sendable {
    /// A line is longer.
    package struct TooLong: Error {}

    private let limit: Int
    private var bytes: [UInt8] = []
    /// Where the next line begins.
    private var start = 0
    /// Up to where no end of a line is.
    private var searched = 0

    /// - Parameter limit: bytes of the longest line.
    package init(limit: Int) { self.limit = limit }

    /// Takes what came.
    package mutating func append(_ piece: some Collection<UInt8>) {
        bytes.removeFirst(start)
        searched -= start
        start = 0
        bytes += piece
    }

    /// The next whole line, without its end; nil where more has to come.
    package mutating func next() throws(TooLong) -> ArraySlice<UInt8>? {
        guard let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = bytes.count
            if searched - start > limit { throw TooLong() }
            return nil
        }
        guard end - start <= limit else { throw TooLong() }
        defer {
            start = end + 1
            searched = start
        }
        return bytes[start..<end]
    }
}
