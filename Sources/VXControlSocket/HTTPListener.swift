import Hummingbird
import Logging
import NIOCore

/// One of the daemon's HTTP listeners: bounded, and served by one thread.
struct HTTPListener {
    /// What its metrics are labelled with.
    let name: String
    let address: BindAddress
    let bounds: ListenerBounds
    let loop: any EventLoop
    let logger: Logger

    /// Accepted by one call (NIO's default for a listening channel), before the bound is looked at again.
    private static let acceptedAtOnce = 4

    /// Serves until the service group shuts down.
    func run(_ router: Router<BasicRequestContext>) async throws {
        var quiet = logger
        quiet.logLevel = .warning
        let (bounds, log) = (bounds, AnswerLog(listener: name))
        let application = Application(
            router: router,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [RequestBounds(bounds, log: log)],
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: bounds.fieldBytes,
                        maxHeaderListSize: bounds.headBytes,
                        maxHeaderFieldCount: bounds.fields
                    )
                )
            ),
            configuration: .init(
                address: address,
                availableConnectionsDelegate: .maximum(bounds.connections - Self.acceptedAtOnce + 1, logger: quiet)
            ),
            eventLoopGroupProvider: .shared(loop),
            logger: quiet
        )
        // Also what is no work of the channel's, as rendering an answer, is done by that thread: it gives way to lanes.
        try await withTaskExecutorPreference(LoopExecutor(loop)) { try await application.run() }
    }
}

/// Runs tasks on the thread of an event loop.
private final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
