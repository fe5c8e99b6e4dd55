import AsyncHTTPClient
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import VXControl

/// Asks the Kubernetes API, within bounds of size and time.
struct KubernetesClient: Sendable {
    /// How long is waited, and how much is asked for at once.
    struct Timing: Sendable {
        /// Seconds for a whole answer, and for a watch to begin. The API itself gives up after 60.
        var patience = 30.0
        /// Seconds that a watch is asked to last, drawn between this and twice as long, so that those of a cluster do
        /// not end as one. Clients in Go take the same.
        var watch = 300
        /// Objects in a page.
        var page = 250
        /// Pauses between attempts.
        var pauses = Backoff(first: 1, longest: 60)
    }

    /// Bytes of an answer that are read. A page of nodes has 20 KiB for each, where they have pulled many images.
    static let answerLimit = 64 << 20
    /// Bytes of a line of a watch. The API takes no object above 3 MiB.
    static let lineLimit = 16 << 20

    let access: APIAccess
    let timing: Timing
    private let wanted: Set<String>

    private let http: HTTPClient

    /// Lives as long as the process.
    private static let shared = makeHTTP(silence: .seconds(150))

    /// - Parameter silence: after so much of it a watch is taken up anew: a machine that hangs ends no connection, and the API
    ///   sends a bookmark about each minute.
    static func makeHTTP(silence: TimeAmount) -> HTTPClient {
        var settings = HTTPClient.Configuration()
        settings.timeout.connect = .seconds(10)
        settings.timeout.read = silence
        settings.connectionPool.retryConnectionEstablishment = false
        // Each watch keeps a connection for itself.
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        // A redirection would carry the token elsewhere.
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    }

    /// - Parameters:
    ///   - access: where the API is.
    ///   - timing: how long is waited.
    ///   - wanted: annotations that are kept of nodes.
    ///   - http: shut down by who made it.
    init(_ access: APIAccess, timing: Timing = Timing(), wanted: Set<String>, http: HTTPClient? = nil) {
        self.access = access
        self.timing = timing
        self.wanted = wanted
        self.http = http ?? Self.shared
    }

    /// One object.
    func get<Object: APIObject>(_ name: String) async throws -> Object {
        let call = Call(method: .GET, path: Object.resource.path + "/" + name)
        return try decode(try await answer(call), call)
    }

    /// A page of objects.
    /// - Parameter name: of the only one that is wanted.
    func list<Object: APIObject>(only name: String? = nil, continuing: String?) async throws -> ObjectPage<Object> {
        var call = Call(method: .GET, path: Object.resource.path, purpose: "list")
        call.query = Self.selector(name) + [URLQueryItem(name: "limit", value: String(timing.page))]
        if let continuing { call.query.append(URLQueryItem(name: "continue", value: continuing)) }
        return try decode(try await answer(call), call)
    }

    /// Changes a node by its status subresource.
    func patch(node name: String, _ change: NodeChange) async throws {
        var call = Call(method: .PATCH, path: NodeObject.resource.path + "/" + name + "/status")
        call.body = try change.body(now: Date())
        _ = try await answer(call)
    }

    /// Changes of objects after a version.
    /// - Parameter name: of the only one that is wanted.
    func watch<Object: APIObject>(
        _ type: Object.Type,
        only name: String? = nil,
        from version: String
    ) async throws -> WatchStream<Object> {
        var call = Call(method: .GET, path: Object.resource.path, purpose: "watch")
        call.query =
            Self.selector(name) + [
                URLQueryItem(name: "watch", value: "1"),
                URLQueryItem(name: "allowWatchBookmarks", value: "true"),
                URLQueryItem(name: "resourceVersion", value: version),
                URLQueryItem(
                    name: "timeoutSeconds",
                    value: String(Int.random(in: timing.watch...timing.watch * 2))
                ),
            ]
        return try await failing(call) {
            let response = try await http.execute(
                request(call),
                timeout: .nanoseconds(Self.nanoseconds(timing.patience))
            )
            guard response.status == .ok else { throw try await refusal(response, call) }
            return WatchStream(call: call.name, body: response.body, decoder: decoder)
        }
    }

    // MARK: - Calls

    private struct Call: Sendable {
        let method: HTTPMethod
        let path: String
        var purpose: String?
        var query: [URLQueryItem] = []
        var body: Data?

        /// For errors: without the query, whose tokens of pages are long.
        var name: String { "\(purpose ?? method.rawValue) \(path)" }
    }

    private static func selector(_ name: String?) -> [URLQueryItem] {
        name.map { [URLQueryItem(name: "fieldSelector", value: "metadata.name=\($0)")] } ?? []
    }

    private static func nanoseconds(_ seconds: Double) -> Int64 { Int64(seconds * 1e9) }

    private func request(_ call: Call) throws(KubernetesError) -> HTTPClientRequest {
        var url = access.server + call.path
        if !call.query.isEmpty {
            var components = URLComponents()
            components.queryItems = call.query
            url += "?" + (components.percentEncodedQuery ?? "").replacingOccurrences(of: "+", with: "%2B")
        }
        var request = HTTPClientRequest(url: url)
        request.method = call.method
        request.headers.add(name: "accept", value: "application/json")
        request.headers.add(name: "user-agent", value: "vxseal")
        if let value = try access.authorization() { request.headers.add(name: "authorization", value: value) }
        if let body = call.body {
            request.headers.add(name: "content-type", value: "application/strategic-merge-patch+json")
            request.body = .bytes(ByteBuffer(data: body))
        }
        request.tlsConfiguration = try access.encryption()
        return request
    }

    private func answer(_ call: Call) async throws -> Data {
        let patience = timing.patience
        return try await withThrowingTaskGroup(of: Data.self) { group in
            group.addTask {
                try await failing(call) {
                    let response = try await http.execute(
                        request(call),
                        timeout: .nanoseconds(Self.nanoseconds(patience))
                    )
                    guard (200..<300).contains(response.status.code) else { throw try await refusal(response, call) }
                    return Data(buffer: try await response.body.collect(upTo: Self.answerLimit))
                }
            }
            group.addTask {
                try await Task.sleep(for: .seconds(patience))
                throw KubernetesError.unreachable(call.name, "no whole answer within \(Int(patience)) s")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }

    private var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.userInfo[NodeObject.wantedAnnotations] = wanted
        return decoder
    }

    private func decode<Value: Decodable>(_ data: Data, _ call: Call) throws(KubernetesError) -> Value {
        do {
            return try decoder.decode(Value.self, from: data)
        } catch {
            throw .malformed(call.name, "\(data.count) bytes that cannot be read")
        }
    }

    // MARK: - Failures

    private func refusal(_ response: HTTPClientResponse, _ call: Call) async throws -> KubernetesError {
        let data = Data(buffer: try await response.body.collect(upTo: 1 << 20))
        let status = try? JSONDecoder().decode(APIStatus.self, from: data)
        let header = response.headers.first(name: "retry-after").flatMap(Double.init)
        return .refused(
            KubernetesError.Refusal(
                call: call.name,
                code: Int(response.status.code),
                message: KubernetesError.printable(status?.message ?? ""),
                retryAfter: header ?? status?.details?.retryAfterSeconds
            )
        )
    }

    private func failing<Result: Sendable>(
        _ call: Call,
        _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await body()
        } catch {
            throw Self.failure(error, call.name)
        }
    }

    static func failure(_ error: any Error, _ call: String) -> any Error {
        switch error {
        case is KubernetesError, is CancellationError: error
        case is NIOTooManyBytesError: KubernetesError.malformed(call, "more than \(answerLimit >> 20) MiB")
        case let error as IOError:
            KubernetesError.unreachable(call, unsafe String(cString: strerror(error.errnoCode)))
        case let error as HTTPClientError where error == .cancelled: CancellationError()
        case let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout:
            KubernetesError.unreachable(call, "no answer in time")
        case let error as HTTPClientError where error == .readTimeout:
            KubernetesError.unreachable(call, "nothing was heard for too long")
        default: KubernetesError.unreachable(call, KubernetesError.printable("\(error)"))
        }
    }
}

/// The lines of a watch, as they come, until it ends: at its time, or with a `KubernetesError`.
struct WatchStream<Object: APIObject>: AsyncSequence, Sendable {
    let call: String
    let body: HTTPClientResponse.Body
    let decoder: JSONDecoder

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let call: String
        fileprivate let decoder: JSONDecoder
        fileprivate var pieces: HTTPClientResponse.Body.AsyncIterator
        fileprivate var lines = LineSplitter(limit: KubernetesClient.lineLimit)

        mutating func next() async throws -> WatchEvent<Object>? {
            do {
                while true {
                    while let line = try lines.next() {
                        if !line.isEmpty { return try read(line) }
                    }
                    guard let piece = try await pieces.next() else { return nil }
                    lines.append(piece.readableBytesView)
                }
            } catch is LineSplitter.TooLong {
                throw KubernetesError.malformed(call, "a line of more than \(KubernetesClient.lineLimit >> 20) MiB")
            } catch {
                throw KubernetesClient.failure(error, call)
            }
        }

        private func read(_ line: ArraySlice<UInt8>) throws(KubernetesError) -> WatchEvent<Object> {
            guard let event = try? decoder.decode(WatchEvent<Object>.self, from: Data(line)) else {
                throw .malformed(call, "a line that cannot be read")
            }
            guard case .failed(let status) = event else { return event }
            throw .refused(
                KubernetesError.Refusal(
                    call: call,
                    code: status.code ?? 500,
                    message: KubernetesError.printable(status.message ?? ""),
                    retryAfter: status.details?.retryAfterSeconds
                )
            )
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(call: call, decoder: decoder, pieces: body.makeAsyncIterator())
    }
}
