/// Which ways of handling many packets as one may be used. All are, where the kernel has them; switching one off is for finding
/// faults, and changes speed alone.
public struct OffloadConfiguration: Sendable, Equatable {
    /// TCP super-frames from the devices (TUN_F_TSO4, TUN_F_TSO6).
    public var tapTso = true
    /// UDP super-frames from and to the devices (TUN_F_USO4, TUN_F_USO6).
    public var tapUso = true
    /// Runs of equal datagrams in one call to the underlay (UDP_SEGMENT).
    public var udpSegment = true
    /// Runs of datagrams in one call from the underlay (UDP_GRO).
    public var udpGro = true
    /// Neighbouring TCP segments and UDP datagrams become super-frames for the devices.
    public var coalescing = true
    /// Small frames for one peer share a sealed datagram.
    public var aggregation = true
    /// Inner checksums travel partial inside sealed datagrams.
    public var partialChecksums = true

    /// Everything.
    public init() {}

    /// The names in the file and in `status`, in the order they are shown.
    public static var names: [(name: String, field: WritableKeyPath<OffloadConfiguration, Bool>)] {
        [
            ("tapTso", \.tapTso), ("tapUso", \.tapUso), ("udpSegment", \.udpSegment), ("udpGro", \.udpGro),
            ("coalescing", \.coalescing), ("aggregation", \.aggregation), ("partialChecksums", \.partialChecksums),
        ]
    }
}

/// Reads `offloads`.
struct OffloadReader {
    let problems: ProblemList

    func read(_ root: MappingReader) -> OffloadConfiguration {
        var offloads = OffloadConfiguration()
        guard let node = root.value("offloads"),
            let reader = MappingReader(node, path: "offloads", problems: problems)
        else { return offloads }
        for (name, field) in OffloadConfiguration.names {
            offloads[keyPath: field] = reader.boolean(name, default: true)
        }
        reader.finish()
        return offloads
    }
}
