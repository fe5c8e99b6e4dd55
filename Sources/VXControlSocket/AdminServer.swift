public import Hummingbird
public import Logging
public import NIOCore
public import ServiceLifecycle

/// Whoever answers for the daemon.
public protocol AdminBackend: Sendable {
    /// The whole status.
    func status() async -> StatusReply
    /// All forwarding databases.
    func forwardingDatabase() async -> FDBReply
    /// Forgets learned entries, and answers what is left.
    func flushForwardingDatabase(_ request: FlushRequest) async throws(AdminRefusal) -> FDBReply
    /// Asks a peer for an echo and waits for it.
    func ping(_ request: PingRequest) async throws(AdminRefusal) -> PingReply
    /// Tells what would become of a frame, without sending it.
    func trace(_ request: TraceRequest) async throws(AdminRefusal) -> TraceReply
    /// Reads the configuration again and takes it into use, or refuses it whole.
    func reload() async -> ReloadReply
    /// Starts a new handshake with one peer or all; nil when no sealed peer has that name.
    func rotateSession(peer: String?) async -> RotateSessionReply?
    /// Where the rotations stand.
    func rotationStatus() async -> RotationReply
    /// Opens a rotation of the identity.
    func rotateIdentity(overlapSeconds: UInt64) async throws(AdminRefusal) -> RotationReply
    /// Starts the rotation of a preshared key.
    func rotatePSK(peer: String) async throws(AdminRefusal) -> RotationReply
    /// Takes a key for a peer's.
    func acceptKey(_ key: String, peer: String) async throws(AdminRefusal) -> RotationReply
    /// Starts a capture.
    func capture(_ request: CaptureRequest) async throws(AdminRefusal) -> CaptureStream
    /// Goes back to what the configuration says of a peer.
    func forgetPeer(_ peer: String) async throws(AdminRefusal) -> RotationReply
}

/// Why the daemon does not do what it was asked: what, and how to mend it.
public struct AdminRefusal: Error, Sendable {
    /// The text.
    public let text: String

    /// From its text.
    public init(_ text: String) { self.text = text }
}

extension StatusReply: ResponseEncodable {}
extension FDBReply: ResponseEncodable {}
extension RotateSessionReply: ResponseEncodable {}
extension RotationReply: ResponseEncodable {}
extension ReloadReply: ResponseEncodable {}
extension PingReply: ResponseEncodable {}
extension TraceReply: ResponseEncodable {}

/// The admin API: versioned JSON over HTTP on a UNIX socket. Who may open the socket may do all of it, so the socket is
/// its owner's alone: the daemon runs under umask 177, which makes it 0600 from the moment it exists.
public struct AdminServer: Service {
    private let backend: any AdminBackend
    private let path: String
    private let loop: any EventLoop
    private let logger: Logger

    /// - Parameters:
    ///   - path: where no socket is, or a dead one that has been removed.
    ///   - backend: who answers.
    ///   - loop: whose thread does all of the work.
    ///   - logger: the log.
    public init(path: String, backend: any AdminBackend, loop: any EventLoop, logger: Logger) {
        self.path = path
        self.backend = backend
        self.loop = loop
        self.logger = logger
    }

    /// Serves until the service group shuts down.
    public func run() async throws {
        let backend = backend
        let router = Router()
        router.get("v1/status") { _, _ in await backend.status() }
        router.get("v1/fdb") { _, _ in await backend.forwardingDatabase() }
        router.post("v1/fdb/flush") { request, context in
            let wanted = try await request.decode(as: FlushRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in
                try await backend.flushForwardingDatabase(wanted)
            }
        }
        router.post("v1/ping") { request, context in
            let wanted = try await request.decode(as: PingRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in try await backend.ping(wanted) }
        }
        router.post("v1/trace") { request, context in
            let wanted = try await request.decode(as: TraceRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in try await backend.trace(wanted) }
        }
        router.post("v1/reload") { _, _ in await backend.reload() }
        router.post("v1/rotate/session") { request, context in
            let wanted = try await request.decode(as: RotateSessionRequest.self, context: context)
            guard let reply = await backend.rotateSession(peer: wanted.peer) else {
                throw HTTPError(.notFound, message: "no sealed peer of that name; see them with: vxseal peers")
            }
            return reply
        }
        addRotations(to: router)
        addCapture(to: router)
        let listener = HTTPListener(
            name: "admin",
            address: .unixDomainSocket(path: path),
            bounds: ListenerBounds(connections: 64),
            loop: loop,
            logger: logger
        )
        try await listener.run(router)
    }

    private func addRotations(to router: Router<BasicRequestContext>) {
        let backend = backend
        router.get("v1/rotate/status") { _, _ in await backend.rotationStatus() }
        router.post("v1/rotate/identity") { request, context in
            let wanted = try await request.decode(as: RotateIdentityRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in
                try await backend.rotateIdentity(overlapSeconds: wanted.overlapSeconds)
            }
        }
        router.post("v1/rotate/psk") { request, context in
            let wanted = try await request.decode(as: RotatePeerRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in
                try await backend.rotatePSK(peer: wanted.peer)
            }
        }
        router.post("v1/rotate/accept") { request, context in
            let wanted = try await request.decode(as: RotatePeerRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in
                try await backend.acceptKey(wanted.key ?? "", peer: wanted.peer)
            }
        }
        router.post("v1/rotate/forget") { request, context in
            let wanted = try await request.decode(as: RotatePeerRequest.self, context: context)
            return try await Self.answering { () async throws(AdminRefusal) in
                try await backend.forgetPeer(wanted.peer)
            }
        }
    }

    private func addCapture(to router: Router<BasicRequestContext>) {
        let backend = backend
        router.post("v1/capture") { request, context in
            // Read whole before: what follows on the connection then tells when it closes.
            var request = request
            _ = try await request.collectBody(upTo: context.maxUploadSize)
            let wanted = try await request.decode(as: CaptureRequest.self, context: context)
            let stream = try await Self.answering { () async throws(AdminRefusal) in
                try await backend.capture(wanted)
            }
            return Response(
                status: .ok,
                headers: [.contentType: "application/x-pcapng"],
                body: CaptureResponse(stream: stream, request: request.body).body
            )
        }
    }

    private static func answering<Reply>(
        _ body: () async throws(AdminRefusal) -> Reply
    ) async throws -> Reply {
        do {
            return try await body()
        } catch {
            throw HTTPError(.conflict, message: error.text)
        }
    }
}
