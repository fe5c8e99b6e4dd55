/// What `POST /v1/capture` is asked for. The answer is pcapng, as long as the capture runs.
public struct CaptureRequest: Codable, Sendable {
    /// Frames of the networks; nil for them where `outer` is not asked for.
    public var inner: Bool?
    /// Datagrams of the underlay; nil for none.
    public var outer: Bool?
    /// Packets of this peer.
    public var peer: String?
    /// Frames of this network.
    public var vni: UInt32?
    /// `in`, from peers, or `out`, to peers; nil for both.
    public var direction: String?
    /// Frames from or to this station.
    public var mac: String?
    /// Frames from or to this address.
    public var ip: String?
    /// TCP segments and UDP datagrams from or to this port.
    public var port: UInt16?
    /// What of dropped packets: `excluded`, `included` or `only`; nil for `excluded`.
    public var drops: String?
    /// Bytes kept of each packet; nil for all.
    public var snap: Int?

    /// All frames.
    public init(inner: Bool? = nil, outer: Bool? = nil) {
        self.inner = inner
        self.outer = outer
    }

    /// Whether frames of the networks are asked for.
    public var wantsInner: Bool { inner ?? !wantsOuter }

    /// Whether datagrams of the underlay are.
    public var wantsOuter: Bool { outer ?? false }

    /// The filter as the file shows it, and people read it.
    public var summary: String {
        var words: [String] = []
        if wantsInner { words.append("inner") }
        if wantsOuter { words.append("outer") }
        func add(_ name: String, _ value: (some CustomStringConvertible)?) {
            if let value { words.append("\(name) \(value)") }
        }
        add("peer", peer)
        add("vni", vni)
        add("direction", direction)
        add("mac", mac)
        add("ip", ip)
        add("port", port)
        add("drops", drops)
        return words.joined(separator: ", ")
    }
}

/// A capture that runs: the daemon writes pcapng to it until the capture ends or the write fails. Ends with its last
/// reference.
public struct CaptureStream: Sendable {
    /// Takes pieces of whole blocks; waits as long as its reader does.
    public typealias Write = (_ blocks: [UInt8]) async throws -> Void

    /// Runs the capture.
    public let run: @Sendable (_ write: Write) async throws -> Void

    /// - Parameter run: writes blocks until the capture ends.
    public init(run: @escaping @Sendable (_ write: Write) async throws -> Void) { self.run = run }
}
