import ServiceLifecycle
import VXConfig
import VXControlSocket
import VXDataPlane
import VXLinux
import VXRuntime
import VXWire

/// One capture, from the threads' buffers to whoever reads it. It ends with its last reference, which is that of the request
/// it answers: when the client goes, so does the capture.
final class RunningCapture: Sendable {
    /// How long the buffers are left alone when they were found empty. The lanes wake nobody: that would cost them a system
    /// call for a packet.
    private static let idleTime = Duration.milliseconds(10)
    /// How often the reader is told what was lost, which also finds out whether it is still there.
    private static let statisticsTime = Interval.seconds(1)

    private let compiler: CaptureCompiler
    private let place: Int
    private let board: CaptureBoard
    private let runtime: Runtime
    private let listen: [Endpoint]
    private let buffers: [CaptureBuffer]
    /// By place, when the capture began.
    private let networks: [VNI?]

    /// - Parameters:
    ///   - compiler: what is asked for.
    ///   - place: of the board, which this gives back.
    ///   - board: where the place is from.
    ///   - runtime: whose threads are asked.
    ///   - listen: where the node takes sealed datagrams.
    init(compiler: CaptureCompiler, place: Int, board: CaptureBoard, runtime: Runtime, listen: [Endpoint]) {
        self.compiler = compiler
        self.place = place
        self.board = board
        self.runtime = runtime
        self.listen = listen
        networks = compiler.roster.current.networks.map { $0?.configuration.vni }
        let count = networks.count
        buffers = (0..<runtime.captureThreads).map { _ in CaptureBuffer(networks: count) }
    }

    deinit {
        let (runtime, board, place, buffers) = (runtime, board, place, buffers)
        Task {
            await runtime.endCapture(at: place)
            board.giveBack(place)
            withExtendedLifetime(buffers) {}
        }
    }

    /// Has every thread look for what is wanted.
    func start(_ filter: CaptureFilter) async { await runtime.startCapture(at: place, filter, to: buffers) }

    /// Writes pcapng until the node ends or the write fails.
    func run(_ write: CaptureStream.Write) async throws {
        var feed = CaptureFeed(
            request: compiler.request,
            roster: compiler.roster.current,
            networks: networks,
            addresses: UnderlayAddresses(listen: listen)
        )
        board.noteBegin(compiler.request)
        defer { board.noteEnd(compiler.request, captured: feed.captured, lost: feed.lost) }
        try await write(feed.begin(at: Clocks.unixTime()))
        var filter = try? compiler.filter()
        var toldAt = Clocks.bootTime()
        while !Task.isShuttingDownGracefully {
            let blocks = feed.drain(buffers, roster: compiler.roster.current)
            if !blocks.isEmpty { try await write(blocks) }
            let now = Clocks.bootTime()
            if now.since(toldAt) >= Self.statisticsTime {
                toldAt = now
                try await write(feed.statistics(of: buffers))
                filter = await followPeer(filter)
            }
            if blocks.isEmpty { try await Task.sleep(for: Self.idleTime) }
        }
        try await write(feed.drain(buffers, roster: compiler.roster.current) + feed.statistics(of: buffers))
    }

    /// A reload may give the peer another index, and the peer may be elsewhere.
    private func followPeer(_ former: CaptureFilter?) async -> CaptureFilter? {
        guard compiler.request.peer != nil, let filter = try? compiler.filter() else { return former }
        if filter.peer != former?.peer || filter.peerEndpoint != former?.peerEndpoint { await start(filter) }
        return filter
    }
}
