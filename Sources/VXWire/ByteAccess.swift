extension RawSpan {
    /// The byte at `offset`. Traps beyond the end: a view checks its length once, before it reads.
    @inlinable
    public func readUInt8(at offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The big-endian 16-bit number at `offset`.
    @inlinable
    public func readUInt16(at offset: Int) -> UInt16 {
        unsafe UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The big-endian 32-bit number at `offset`.
    @inlinable
    public func readUInt32(at offset: Int) -> UInt32 {
        unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The big-endian 64-bit number at `offset`.
    @inlinable
    public func readUInt64(at offset: Int) -> UInt64 {
        unsafe UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

// Swift 6.2 wants the lifetimes spelled that 6.3 infers.
extension MutableRawSpan {
    /// Writes a byte at `offset`. Traps beyond the end.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func write(_ value: UInt8, at offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    /// Writes a number in big-endian order at `offset`.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func write(_ value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    /// Writes a number in big-endian order at `offset`.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func write(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Writes a number in big-endian order at `offset`.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func write(_ value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }
}
