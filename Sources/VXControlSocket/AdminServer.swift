public import Hummingbird
public import Logging
public import ServiceLifecycle

/// Whoever answers for the daemon.
public protocol AdminBackend: Sendable {
    /// The whole status.
    func status() async -> StatusReply
    /// All forwarding databases.
    func forwardingDatabase() async -> FDBReply
    /// Forgets every learned entry.
    func flushForwardingDatabase() async
    /// Starts a new handshake with one peer or all; nil when no sealed peer has that name.
    func rotateSession(peer: String?) async -> RotateSessionReply?
}

extension StatusReply: ResponseEncodable {}
extension FDBReply: ResponseEncodable {}
extension RotateSessionReply: ResponseEncodable {}

/// The admin API: versioned JSON over HTTP on a UNIX socket. Who may open the socket may do all of it, so the socket is
/// its owner's alone: the daemon runs under umask 077, which makes it 0600 from the moment it exists.
public struct AdminServer: Service {
    private let backend: any AdminBackend
    private let path: String
    private let logger: Logger

    /// On a path where no socket is, or a dead one that has been removed.
    public init(path: String, backend: any AdminBackend, logger: Logger) {
        self.path = path
        self.backend = backend
        self.logger = logger
    }

    /// Serves until the service group shuts down.
    public func run() async throws {
        let backend = backend
        let router = Router()
        router.get("v1/status") { _, _ in await backend.status() }
        router.get("v1/fdb") { _, _ in await backend.forwardingDatabase() }
        router.post("v1/fdb/flush") { _, _ in
            await backend.flushForwardingDatabase()
            return await backend.forwardingDatabase()
        }
        router.post("v1/rotate/session") { request, context in
            let wanted = try await request.decode(as: RotateSessionRequest.self, context: context)
            guard let reply = await backend.rotateSession(peer: wanted.peer) else {
                throw HTTPError(.notFound, message: "no sealed peer of that name; see them with: vxseal peers")
            }
            return reply
        }
        var quiet = logger
        quiet.logLevel = .warning
        let application = Application(
            router: router,
            configuration: .init(address: .unixDomainSocket(path: path)),
            logger: quiet
        )
        try await application.run()
    }
}
