public import Hummingbird
public import Logging
public import NIOCore
public import ServiceLifecycle

extension AgentReply: ResponseEncodable {}

/// The agent's own socket beside its packet process's: JSON over HTTP, for reading alone.
public struct AgentServer: Service {
    private let path: String
    private let loop: any EventLoop
    private let logger: Logger
    private let reply: @Sendable () async -> AgentReply

    /// - Parameters:
    ///   - path: where no socket is.
    ///   - loop: whose thread does all of the work.
    ///   - logger: the log.
    ///   - reply: what the agent knows.
    public init(
        path: String,
        loop: any EventLoop,
        logger: Logger,
        reply: @escaping @Sendable () async -> AgentReply
    ) {
        self.path = path
        self.loop = loop
        self.logger = logger
        self.reply = reply
    }

    /// Serves until the service group shuts down.
    public func run() async throws {
        let router = Router()
        router.get("v1/agent") { [reply] _, _ in await reply() }
        let listener = HTTPListener(
            name: "agent",
            address: .unixDomainSocket(path: path),
            bounds: ListenerBounds(connections: 16),
            loop: loop,
            logger: logger
        )
        try await listener.run(router)
    }
}
