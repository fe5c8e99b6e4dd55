extension UnsafeRawBufferPointer {
    /// The first byte for a C call that also takes the count; an empty buffer may have no address of its own.
    var cells: UnsafePointer<UInt8> {
        baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(emptyCell)
    }
}

extension UnsafeMutableRawBufferPointer {
    /// The first byte for a C call that writes exactly what was asked; the buffer is not empty.
    var cells: UnsafeMutablePointer<UInt8> {
        guard let baseAddress else { preconditionFailure("a result needs a buffer") }
        return baseAddress.assumingMemoryBound(to: UInt8.self)
    }
}

/// An address to point at where no bytes are read.
private nonisolated(unsafe) let emptyCell = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
