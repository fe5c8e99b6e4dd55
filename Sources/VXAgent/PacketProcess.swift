import Foundation
import Logging
import Synchronization
import VXControlSocket
import VXLinux

/// The packet process: `vxseal up` with a configuration that the agent writes. It holds no key of the directory, has no more
/// rights than any gateway, and goes on when the agent dies: the next agent finds it by its socket and takes it over.
actor PacketProcess {
    /// What it is started with.
    struct Order: Sendable {
        /// This program.
        let program: String
        /// The file that the agent writes.
        let configuration: String
        /// Its admin socket.
        let socket: String
        /// Further arguments of `vxseal up`.
        let words: [String]
    }

    /// Why it does not run.
    struct Failure: Error, CustomStringConvertible { let description: String }

    private let order: Order
    private let logger: Logger
    private let client: AdminClient
    /// Called when it is up, again after each time that it had ended.
    private let onStart: @Sendable () async -> Void
    private var process: CInt?
    private var isStopping = false

    /// Seconds that a start or an end may take.
    private static let patience: TimeInterval = 60
    private static let look = Duration.milliseconds(50)

    init(_ order: Order, logger: Logger, onStart: @escaping @Sendable () async -> Void) {
        self.order = order
        self.logger = logger
        self.onStart = onStart
        client = AdminClient(socket: order.socket)
    }

    /// Takes over one that runs, or starts one, and returns when it answers.
    /// - Throws: when it ends at once, with what to look for.
    func start() async throws {
        if let process = UnixSocket.listener(on: order.socket) {
            self.process = process
            logger.notice("a packet process runs already and is taken over", metadata: ["pid": "\(process)"])
            try await reload()
            watch(process)
            return
        }
        try await spawn()
    }

    private func spawn() async throws {
        // The supervisor hears from the agent alone.
        let program = try SpawnedProgram(
            order.program,
            ["up", "-c", order.configuration] + order.words,
            without: ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
        )
        process = program.process
        let ending = Ending()
        Thread.detachNewThread { [weak self] in
            let code = program.wait()
            ending.set(code)
            Task { await self?.ended(program.process, code: code) }
        }
        let deadline = Date.now.addingTimeInterval(Self.patience)
        while UnixSocket.listener(on: order.socket) != program.process {
            if let code = ending.code {
                throw Failure(description: "the packet process has ended with code \(code); its last lines say why")
            }
            guard Date.now < deadline else {
                program.signal(SIGKILL)
                throw Failure(description: "the packet process does not answer on \(order.socket)")
            }
            try await Task.sleep(for: Self.look)
        }
    }

    /// One that this process has not started can only be looked at.
    private func watch(_ process: CInt) {
        Task { [weak self] in
            while kill(process, 0) == 0 { try? await Task.sleep(for: .seconds(1)) }
            await self?.ended(process, code: nil)
        }
    }

    private func ended(_ ended: CInt, code: CInt?) async {
        guard process == ended else { return }
        process = nil
        guard !isStopping else { return }
        logger.error(
            "the packet process has ended and is started again",
            metadata: ["code": "\(code.map(String.init) ?? "unknown")"]
        )
        var pause = Duration.milliseconds(200)
        while !isStopping {
            do {
                try await spawn()
                await onStart()
                return
            } catch {
                logger.error("the packet process cannot be started", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(30))
            }
        }
    }

    /// Has it read its configuration again.
    /// - Throws: when it refuses that, and goes on with what it had.
    func reload() async throws {
        let reply = try await client.reload()
        guard reply.isApplied else { throw Failure(description: reply.problems.joined(separator: "; ")) }
        for warning in reply.warnings { logger.warning("the packet process: \(warning)") }
    }

    /// Ends it, which says goodbye to its peers and removes its device.
    func stop() async {
        isStopping = true
        guard let process else { return }
        kill(process, SIGTERM)
        let deadline = Date.now.addingTimeInterval(Self.patience)
        while self.process != nil, kill(process, 0) == 0 {
            if Date.now > deadline {
                kill(process, SIGKILL)
                return
            }
            try? await Task.sleep(for: Self.look)
        }
    }
}

/// How a program ended, told by the thread that waits for it.
private final class Ending: Sendable {
    private let value = Mutex<CInt?>(nil)

    var code: CInt? { value.withLock { $0 } }
    func set(_ code: CInt) { value.withLock { $0 = code } }
}
