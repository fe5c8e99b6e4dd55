import Foundation
import Hummingbird
public import Logging
public import NIOCore
public import ServiceLifecycle
import Synchronization
public import VXMetrics

/// Whoever knows the daemon's numbers and how it is.
public protocol MetricsBackend: Sendable {
    /// All metrics, as text.
    func metrics(_ format: ExpositionFormat) async -> [UInt8]
    /// Why the process is not alive as it should be; empty when it is.
    func ailments() async -> [String]
    /// Why the node is not ready to carry frames; empty when it is.
    func hindrances() async -> [String]
}

/// `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever supervises the daemon. Whoever reaches the address may read.
public struct MetricsServer: Service {
    /// The listener could not be opened.
    public struct Failure: Error, CustomStringConvertible {
        /// What, where, and how to mend it.
        public let description: String
    }

    private let host: String
    private let port: Int
    private let backend: any MetricsBackend
    private let loop: any EventLoop
    private let logger: Logger

    /// Scrapes at once: each holds its text until it is taken.
    private static let mostScrapes = 4
    /// Bytes of an answer that are written before the client must have taken some.
    private static let pieceBytes = 64 << 10

    /// - Parameters:
    ///   - host: an IP address of this machine.
    ///   - port: the TCP port.
    ///   - backend: who answers.
    ///   - loop: whose thread does all of the work.
    ///   - logger: the log.
    public init(host: String, port: Int, backend: any MetricsBackend, loop: any EventLoop, logger: Logger) {
        self.host = host
        self.port = port
        self.backend = backend
        self.loop = loop
        self.logger = logger
    }

    /// Serves until the service group shuts down.
    /// - Throws: `Failure` when the address cannot be listened on.
    public func run() async throws {
        let (backend, gate) = (backend, ScrapeGate(places: Self.mostScrapes))
        let router = Router()
        router.get("metrics") { request, _ in
            guard let pass = gate.enter() else {
                throw HTTPError(.serviceUnavailable, message: "\(Self.mostScrapes) scrapes are under way; try again")
            }
            let format = ExpositionFormat(accept: request.headers[values: .accept].joined(separator: ","))
            let text = ByteBuffer(bytes: await backend.metrics(format))
            let body = ResponseBody(contentLength: text.readableBytes) { writer in
                var rest = text
                while let piece = rest.readSlice(length: min(Self.pieceBytes, rest.readableBytes)),
                    piece.readableBytes > 0
                { try await writer.write(piece) }
                try await writer.finish(nil)
                pass.leave()
            }
            return Response(status: .ok, headers: [.contentType: format.contentType], body: body)
        }
        router.get("healthz") { _, _ in Self.verdict(await backend.ailments()) }
        router.get("readyz") { _, _ in Self.verdict(await backend.hindrances()) }
        let listener = HTTPListener(
            name: "metrics",
            address: .hostname(host, port: port),
            bounds: ListenerBounds(connections: 64, bodyBytes: 1 << 10),
            loop: loop,
            logger: logger
        )
        do {
            try await listener.run(router)
        } catch let error as IOError {
            let cause = unsafe String(cString: strerror(error.errnoCode))
            throw Failure(
                description:
                    "metrics: cannot listen on TCP \(host) port \(port): \(cause); choose another address, or see who "
                    + "has it with: ss -ltnp 'sport = :\(port)'"
            )
        }
    }

    private static func verdict(_ reasons: [String]) -> Response {
        Response(
            status: reasons.isEmpty ? .ok : .serviceUnavailable,
            headers: [.contentType: "text/plain; charset=utf-8"],
            body: ResponseBody(
                byteBuffer: ByteBuffer(string: (reasons.isEmpty ? ["ok"] : reasons).joined(separator: "\n") + "\n")
            )
        )
    }
}

/// Lets so many scrapes in at a time.
private final class ScrapeGate: Sendable {
    /// The right to be in, until it is given back or forgotten.
    final class Pass: Sendable {
        private let gate: ScrapeGate
        private let isHeld = Atomic(true)

        fileprivate init(_ gate: ScrapeGate) { self.gate = gate }

        func leave() {
            if isHeld.exchange(false, ordering: .relaxed) { gate.free.wrappingAdd(1, ordering: .relaxed) }
        }

        // A client that goes before it has all of its answer.
        deinit { leave() }
    }

    private let free: Atomic<Int>

    init(places: Int) { free = Atomic(places) }

    /// Nil when it is full.
    func enter() -> Pass? {
        guard free.wrappingSubtract(1, ordering: .relaxed).newValue < 0 else { return Pass(self) }
        free.wrappingAdd(1, ordering: .relaxed)
        return nil
    }
}
