/// Names one side's half of a key pair; carried by every transport datagram (protocol.md, 1), random and unique among
/// the receiver's pending and live pairs.
public struct ReceiverIndex: Hashable, Sendable {
    /// The number as it stands on the wire, big-endian there.
    public let rawValue: UInt32

    /// Any 32-bit number is an index.
    @inlinable
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// A peer's place in this node's tables: small, dense, never on the wire.
public struct PeerIndex: Hashable, Sendable {
    /// Below 65,535; the FDB packs it beside a MAC address.
    public let rawValue: UInt16

    /// 65,535 is reserved for "this node's own device".
    @inlinable
    public init(_ rawValue: UInt16) { self.rawValue = rawValue }
}
