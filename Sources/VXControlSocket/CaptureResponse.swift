import Hummingbird
import NIOCore
import ServiceLifecycle

/// The answer that a capture is: as long as the capture runs and the client stays.
struct CaptureResponse: Sendable {
    /// How long the end of a capture may take to leave when the daemon ends. A reader that sleeps would hold up the daemon.
    private static let grace = Duration.seconds(1)

    let stream: CaptureStream
    /// What the client sent, read to its end.
    let request: RequestBody

    var body: ResponseBody {
        ResponseBody { writer in
            let client = Client(writer)
            // A client that goes ends its capture at once.
            try await request.consumeWithCancellationOnInboundClose { _ in try await run(for: client) }
            try await client.finish()
        }
    }

    private func run(for client: Client) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await stream.run { blocks in try await client.write(blocks) }
                return true
            }
            group.addTask {
                try await gracefulShutdown()
                try await Task.sleep(for: Self.grace)
                return false
            }
            let isWhole = try await group.next()
            group.cancelAll()
            // The connection is cut then; what was written of it waits for nobody.
            if isWhole == false { throw CancellationError() }
        }
    }

    /// One task writes, and then another finishes.
    private final class Client: @unchecked Sendable {
        private var writer: any ResponseBodyWriter

        init(_ writer: any ResponseBodyWriter) { self.writer = writer }

        func write(_ blocks: [UInt8]) async throws { try await writer.write(ByteBuffer(bytes: blocks)) }

        func finish() async throws { try await writer.finish(nil) }
    }
}
