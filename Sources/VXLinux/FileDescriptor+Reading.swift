import Glibc

extension FileDescriptor {
    /// Opens a file to read it.
    public init(reading path: String) throws(SystemCallError) {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        if number < 0 { throw .last("open", path) }
        self.init(owning: number)
    }

    /// Reads until the end.
    /// - Parameters:
    ///   - limit: the most bytes that are taken.
    ///   - name: what an error calls it.
    /// - Returns: nil where there is more than `limit`.
    public func readToEnd(limit: Int, name: String) throws(SystemCallError) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = buffer.withUnsafeMutableBytes { buffer in
                retryingInterrupted { read(rawValue, buffer.baseAddress, buffer.count) }
            }
            if count < 0 { throw .last("read", name) }
            if count == 0 { return bytes }
            guard bytes.count + count <= limit else { return nil }
            bytes += buffer[..<count]
        }
    }
}
