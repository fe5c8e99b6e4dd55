import AsyncHTTPClient
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// Speaks to a running daemon.
public struct AdminClient: Sendable {
    /// Why there is no answer; the text says how to mend it.
    public struct Failure: Error, CustomStringConvertible {
        /// What, where, and how to mend it.
        public let description: String
    }

    private let socket: String
    /// Lives as long as the process. A daemon that is not there is told at once: the client's own default is to go on
    /// trying to connect.
    private static let http = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()
    /// Bytes of answer that are read: thousands of peers fit.
    private static let answerLimit = 64 << 20

    /// To the daemon that listens on this path.
    public init(socket: String) { self.socket = socket }

    /// The whole status.
    public func status() async throws -> StatusReply { try await ask("GET", "/v1/status") }

    /// What the agent knows, where the socket is an agent's.
    public func agent() async throws -> AgentReply { try await ask("GET", "/v1/agent") }

    /// All forwarding databases.
    public func forwardingDatabase() async throws -> FDBReply { try await ask("GET", "/v1/fdb") }

    /// Forgets learned entries; answers what is left.
    public func flushForwardingDatabase(_ request: FlushRequest) async throws -> FDBReply {
        try await ask("POST", "/v1/fdb/flush", body: JSONEncoder().encode(request))
    }

    /// One echo request to a peer.
    public func ping(_ request: PingRequest) async throws -> PingReply {
        try await ask("POST", "/v1/ping", body: JSONEncoder().encode(request), timeout: .seconds(20))
    }

    /// What would become of a frame.
    public func trace(_ request: TraceRequest) async throws -> TraceReply {
        try await ask("POST", "/v1/trace", body: JSONEncoder().encode(request), timeout: .minutes(1))
    }

    /// Has the configuration read again; thousands of devices may have to be made.
    public func reload() async throws -> ReloadReply {
        try await ask("POST", "/v1/reload", body: Data("{}".utf8), timeout: .minutes(5))
    }

    /// Starts a new handshake with one peer or all.
    public func rotateSession(peer: String?) async throws -> RotateSessionReply {
        try await ask("POST", "/v1/rotate/session", body: JSONEncoder().encode(RotateSessionRequest(peer: peer)))
    }

    /// Where the rotations stand.
    public func rotationStatus() async throws -> RotationReply { try await ask("GET", "/v1/rotate/status") }

    /// Opens a rotation of the daemon's identity.
    public func rotateIdentity(overlapSeconds: UInt64) async throws -> RotationReply {
        let request = RotateIdentityRequest(overlapSeconds: overlapSeconds)
        return try await ask("POST", "/v1/rotate/identity", body: JSONEncoder().encode(request))
    }

    /// Starts the rotation of a peer's preshared key.
    public func rotatePSK(peer: String) async throws -> RotationReply {
        try await ask("POST", "/v1/rotate/psk", body: JSONEncoder().encode(RotatePeerRequest(peer: peer)))
    }

    /// Takes a key for a peer's.
    public func accept(key: String, peer: String) async throws -> RotationReply {
        try await ask("POST", "/v1/rotate/accept", body: JSONEncoder().encode(RotatePeerRequest(peer: peer, key: key)))
    }

    /// Goes back to what the configuration says of a peer.
    public func forget(peer: String) async throws -> RotationReply {
        try await ask("POST", "/v1/rotate/forget", body: JSONEncoder().encode(RotatePeerRequest(peer: peer)))
    }

    /// Starts a capture and hands on what it tells, pieces of pcapng as they come, until it ends.
    /// - Parameter take: hears of each piece; the daemon waits for it, and what lanes capture meanwhile is lost and counted.
    public func capture(_ request: CaptureRequest, _ take: ([UInt8]) async throws -> Void) async throws {
        let response = try await send("POST", "/v1/capture", body: JSONEncoder().encode(request))
        guard response.status == .ok else { throw try await refusal(of: response) }
        var pieces = response.body.makeAsyncIterator()
        while let piece = try await next(&pieces) { try await take(Array(piece.readableBytesView)) }
    }

    private func next(_ pieces: inout HTTPClientResponse.Body.AsyncIterator) async throws -> ByteBuffer? {
        do {
            return try await pieces.next()
        } catch {
            try Task.checkCancellation()
            throw Failure(description: "the daemon on \(socket) is gone")
        }
    }

    private func ask<Reply: Decodable>(
        _ method: String,
        _ path: String,
        body: Data? = nil,
        timeout: TimeAmount = .seconds(10)
    ) async throws -> Reply {
        let response = try await send(method, path, body: body, timeout: timeout)
        guard response.status == .ok else { throw try await refusal(of: response) }
        return try JSONDecoder().decode(Reply.self, from: await Self.contents(of: response))
    }

    private static func contents(of response: HTTPClientResponse) async throws -> Data {
        Data(buffer: try await response.body.collect(upTo: answerLimit))
    }

    private func refusal(of response: HTTPClientResponse) async throws -> Failure {
        let answer = try await Self.contents(of: response)
        let text = (try? JSONDecoder().decode(HummingbirdError.self, from: answer))?.error.message
        return Failure(description: text ?? "the daemon on \(socket) answered \(response.status)")
    }

    private func send(
        _ method: String,
        _ path: String,
        body: Data?,
        timeout: TimeAmount = .seconds(10)
    ) async throws -> HTTPClientResponse {
        guard let url = URL(httpURLWithSocketPath: socket, uri: path) else {
            throw Failure(description: "\(socket) is no path of a socket; name it with --socket")
        }
        var request = HTTPClientRequest(url: url.absoluteString)
        request.method = .init(rawValue: method)
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(data: body))
        }
        do {
            return try await Self.http.execute(request, timeout: timeout)
        } catch {
            try Task.checkCancellation()
            let cause = (error as? IOError).map { unsafe String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw Failure(
                description:
                    "no daemon answers on \(socket) (\(cause)); start one with: vxseal up -c FILE, as the same user"
            )
        }
    }

    /// How Hummingbird words an error.
    private struct HummingbirdError: Decodable {
        struct Detail: Decodable { let message: String }
        let error: Detail
    }
}
