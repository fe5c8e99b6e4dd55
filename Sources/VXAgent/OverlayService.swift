import Foundation
import Logging
import ServiceLifecycle
import UnixSignals
import VXControl
import VXControlSocket
import VXLinux
import VXNetlink

/// Follows the directory.
actor OverlayService: Service {
    private let agent: Agent
    private var overlay: Overlay?

    /// Changes that come within this time are followed at once.
    private static let gathering = Duration.milliseconds(100)
    /// Seconds after which the kernel is looked at though it has told of nothing.
    private static let longestQuiet = 60
    /// A lease that was held for so long is no bone of contention.
    private static let steady = Duration.seconds(300)

    init(agent: Agent) {
        self.agent = agent
    }

    /// What the agent knows; before it knows its place, that alone.
    func reply() async -> AgentReply {
        if let overlay { return await overlay.reply }
        return agent.replyBeforeStart
    }

    func run() async throws {
        let supervisor = ServiceSupervisor.current()
        try await cancelWhenGracefulShutdown { try await self.follow(supervisor) }
    }

    private func follow(_ supervisor: ServiceSupervisor) async throws {
        let (overlay, directory, request, file) = try await agent.open()
        self.overlay = overlay
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let process = try agent.packetProcess(reading: file) {
            await overlay.followKernel()
            wake.yield()
        }
        let result: Result<Void, any Error>
        do {
            await overlay.adopt(await overlay.lease)
            try await overlay.writeConfiguration()
            try await process.start()
            await overlay.lead(process)
            let rules = agent.rules(for: await overlay.lease, network: await overlay.network)
            await overlay.fault("nftables", await rules.apply())
            await overlay.follow()
            agent.log.notice("the overlay is up")
            supervisor.tell(.ready)
            result = .success(try await follow(directory, request, overlay, wakes, wake))
        } catch {
            result = .failure(error)
        }
        supervisor.tell(.stopping)
        // Also where the task that runs this is cancelled: what was made is removed.
        await Task {
            await process.stop()
            await overlay.removeRoutes()
            await OverlayRules.remove()
        }.value
        unlink(file)
        agent.log.info("the agent has ended")
        do { try result.get() } catch is CancellationError {}
    }

    /// Until the task is cancelled, or one of the parts cannot go on.
    private func follow(
        _ directory: any PeerDirectory,
        _ request: LeaseRequest,
        _ overlay: Overlay,
        _ wakes: AsyncStream<Void>,
        _ wake: AsyncStream<Void>.Continuation
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await self.watchDirectory(directory, request, overlay, wake) }
            tasks.addTask { try await self.watchKernel(overlay, wake) }
            tasks.addTask { try await self.watchHangup(overlay, wake) }
            tasks.addTask {
                for await _ in wakes {
                    let begin = ContinuousClock.now
                    await overlay.follow()
                    // Half of the time at most, however many nodes come and go.
                    try await Task.sleep(for: max(Self.gathering, ContinuousClock.now - begin))
                }
            }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }

    private func watchDirectory(
        _ directory: any PeerDirectory,
        _ request: LeaseRequest,
        _ overlay: Overlay,
        _ wake: AsyncStream<Void>.Continuation
    ) async throws {
        // Two nodes that take a lease from each other do so ever more seldom.
        var losing = Backoff()
        var random = SystemRandomNumberGenerator()
        while true {
            let begin = ContinuousClock.now
            let (losses, loss) = AsyncStream.makeStream(of: Void.self)
            let lease = await overlay.lease
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    try await directory.run(lease) { event in
                        if await overlay.take(event) { wake.yield() }
                        if case .lost = event { loss.yield() }
                    }
                }
                tasks.addTask { for await _ in losses { return } }
                try await tasks.next()
                tasks.cancelAll()
            }
            try Task.checkCancellation()
            if ContinuousClock.now - begin > Self.steady { losing.reset() }
            try await Task.sleep(for: .seconds(losing.pause(using: &random)))
            var request = request
            request.earlier = lease.subnets
            var backoff = Backoff()
            while true {
                do {
                    await overlay.adopt(try await directory.acquire(request))
                    break
                } catch {
                    try Task.checkCancellation()
                    await overlay.fault("lease", "no lease: \(error)")
                    try await Task.sleep(for: .seconds(backoff.pause(using: &random)))
                }
            }
            await overlay.fault("lease", nil)
            wake.yield()
        }
    }

    /// Looks at keys and underlay each second, and at routes when the kernel says that something has changed.
    private func watchKernel(_ overlay: Overlay, _ wake: AsyncStream<Void>.Continuation) async throws {
        let monitor = try KernelMonitor()
        var quiet = Self.longestQuiet
        while !Task.isCancelled {
            if quiet >= Self.longestQuiet, let index = await overlay.followKernel() {
                monitor.watch(index)
                quiet = 0
            }
            let isNews = await withCheckedContinuation { continuation in
                Thread.detachNewThread { continuation.resume(returning: monitor.wait(milliseconds: 1000)) }
            }
            quiet += 1
            if await overlay.lookAround() { wake.yield() }
            guard isNews else { continue }
            try await Task.sleep(for: Self.gathering)
            _ = monitor.wait(milliseconds: 0)
            quiet = Self.longestQuiet
        }
        try Task.checkCancellation()
    }

    /// SIGHUP: the roster and the pins are read again.
    private func watchHangup(_ overlay: Overlay, _ wake: AsyncStream<Void>.Continuation) async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            do {
                try await overlay.replace(trust: try agent.trust())
                await overlay.fault("trust", nil)
                agent.log.notice("roster and pins were read again")
                wake.yield()
            } catch {
                await overlay.fault("trust", "\(error)")
            }
        }
        try Task.checkCancellation()
    }
}
