import VXWire

/// Which ways of handling many packets as one a lane uses. Each can be switched off, and correct delivery does not depend on
/// any.
public struct PacketOffloads: Sendable {
    /// Equal datagrams to one peer leave as one run (UDP_SEGMENT).
    public var joinsDatagrams = true
    /// TCP segments for a device become super-frames.
    public var coalescesTCP = true
    /// UDP datagrams for a device become super-frames; the kernel takes them from 6.2 on.
    public var coalescesUDP = true
    /// Small frames that wait for one peer share a sealed datagram.
    public var aggregates = true
    /// Inner checksums travel partial inside sealed datagrams.
    public var elidesChecksums = true

    /// All of them.
    public init() {}

    /// None of them.
    public static var none: PacketOffloads {
        var offloads = PacketOffloads()
        offloads.joinsDatagrams = false
        offloads.coalescesTCP = false
        offloads.coalescesUDP = false
        offloads.aggregates = false
        offloads.elidesChecksums = false
        return offloads
    }

    /// What a handshake announces of them, as `SessionFeatures`.
    public var features: UInt8 {
        (elidesChecksums ? SessionFeatures.partialChecksums : 0) | SessionFeatures.aggregation
    }
}
