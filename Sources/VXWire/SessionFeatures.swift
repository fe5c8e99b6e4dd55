/// Feature bits of a handshake's payload (protocol.md, 2): what its sender takes; a session has what both sides take.
public enum SessionFeatures {
    /// Inner TCP and UDP checksums may arrive partial.
    @inlinable
    public static var partialChecksums: UInt8 { 0x01 }
    /// More than one record in a datagram is accepted.
    @inlinable
    public static var aggregation: UInt8 { 0x02 }
}
