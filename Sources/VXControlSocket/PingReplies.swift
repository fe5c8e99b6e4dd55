/// What `POST /v1/ping` takes: one echo request.
public struct PingRequest: Codable, Sendable {
    /// A sealed peer's name.
    public var peer: String
    /// Bytes behind the request's fixed ones; they come back.
    public var padding: Int
    /// When the request counts as lost.
    public var timeoutMilliseconds: Int

    /// Most bytes of padding: with all headers it fits the 1280 bytes of the smallest path.
    public static let mostPadding = 1100

    /// From its parts.
    public init(peer: String, padding: Int, timeoutMilliseconds: Int) {
        self.peer = peer
        self.padding = padding
        self.timeoutMilliseconds = timeoutMilliseconds
    }
}

/// What `POST /v1/ping` answers.
public struct PingReply: Codable, Sendable {
    /// `answered`, `lost`, or `noSession` where there is none to ask in.
    public var outcome: String
    /// From the request to its answer, both threads' queues included; absent without an answer.
    public var roundTripMicroseconds: Double?

    /// From its parts.
    public init(outcome: String, roundTripMicroseconds: Double? = nil) {
        self.outcome = outcome
        self.roundTripMicroseconds = roundTripMicroseconds
    }
}
