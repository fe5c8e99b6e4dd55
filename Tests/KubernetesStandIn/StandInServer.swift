import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
public import NIOSSL

/// Serves a `StandInCluster` by HTTP as the Kubernetes API does.
public struct StandInServer: Sendable {
    private let cluster: StandInCluster
    private static let largestBody = 3 << 20
    private static let resources: [StandInCluster.Resource] = [.nodes, .blocks]

    /// Of a cluster.
    public init(_ cluster: StandInCluster) { self.cluster = cluster }

    /// Serves on 127.0.0.1 while `body` runs.
    /// - Parameters:
    ///   - port: 0 for any that is free.
    ///   - tls: nil for none.
    ///   - body: is told the port.
    public func serve<Result: Sendable>(
        address: String = "127.0.0.1",
        port: Int = 0,
        tls: TLSConfiguration? = nil,
        _ body: @escaping @Sendable (Int) async throws -> Result
    ) async throws -> Result {
        let (ports, found) = AsyncStream.makeStream(of: Int.self)
        var logger = Logger(label: "stand-in")
        logger.logLevel = .critical
        let application = Application(
            responder: CallbackResponder { (request: Request, _: BasicRequestContext) in await answer(request) },
            server: try tls.map { try .tls(.http1(), tlsConfiguration: $0) } ?? .http1(),
            configuration: .init(address: .hostname(address, port: port)),
            onServerRunning: { channel in found.yield(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                defer { found.finish() }
                try await application.run()
                return nil
            }
            group.addTask {
                for await port in ports { return try await body(port) }
                throw CancellationError()
            }
            defer { group.cancelAll() }
            while let ended = try await group.next() {
                if let result = ended { return result }
            }
            throw CancellationError()
        }
    }

    // MARK: - Requests

    private struct Target {
        let resource: StandInCluster.Resource
        let name: String?
        let subresource: String?
        let query: [String: String]

        init?(_ uri: URI) {
            guard
                let resource = StandInServer.resources.first(where: {
                    uri.path == $0.path || uri.path.hasPrefix($0.path + "/")
                })
            else { return nil }
            let parts = uri.path.dropFirst(resource.path.count).split(separator: "/").map(String.init)
            guard parts.count <= 2 else { return nil }
            self.resource = resource
            name = parts.first
            subresource = parts.count == 2 ? parts[1] : nil
            var query: [String: String] = [:]
            for (key, value) in uri.queryParameters { query[String(key)] = String(value) }
            self.query = query
        }

        func verb(_ method: HTTPRequest.Method) -> String? {
            switch (method, name) {
            case (.get, nil): query["watch"].map { ["1", "true"].contains($0) } == true ? "watch" : "list"
            case (.get, _): "get"
            case (.patch, .some): "patch"
            case (.post, nil): "create"
            case (.delete, .some): "delete"
            default: nil
            }
        }
    }

    private func answer(_ request: Request) async -> Response {
        do {
            return try await respond(request)
        } catch let refusal as StandInCluster.Refusal {
            return Self.response(refusal)
        } catch {
            return Self.response(.init(code: 500, reason: "InternalError", message: "\(error)"))
        }
    }

    private func respond(_ request: Request) async throws -> Response {
        guard let target = Target(request.uri) else {
            throw StandInCluster.Refusal(
                code: 404,
                reason: "NotFound",
                message: "the server could not find the requested resource"
            )
        }
        guard let verb = target.verb(request.method) else {
            throw StandInCluster.Refusal(
                code: 405,
                reason: "MethodNotAllowed",
                message: "the server does not allow this method"
            )
        }
        await cluster.note("\(verb) \(request.uri.path)")
        switch await cluster.fault(for: verb) {
        case .status(let code, let seconds)?:
            throw StandInCluster.Refusal(code: code, reason: "Injected", message: "injected", retryAfter: seconds)
        case .dropped?: return Self.stream { (_: (Data) async throws -> Void) in throw CancellationError() }
        case .slow(let seconds)?: try await Task.sleep(for: .seconds(seconds))
        case .garbage?: return Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: "<html>\n")))
        case nil: break
        }
        let resource = target.resource.plural + (target.subresource.map { "/" + $0 } ?? "")
        try await cluster.authorize(
            request.headers[.authorization],
            AccessRule(group: target.resource.group, resource: resource, verb: verb)
        )
        switch (verb, target.name) {
        case ("list", _): return try await list(target)
        case ("watch", _): return try await watch(request.body, target)
        case ("get", let name?) where target.subresource == nil:
            return try Self.response(try await cluster.get(target.resource, name))
        case ("patch", let name?): return try await patch(request, target, name)
        case ("create", _):
            return try Self.response(
                try await cluster.create(target.resource, try await Self.body(request, ["application/json"]).1)
            )
        case ("delete", let name?) where target.subresource == nil:
            let object = try await cluster.get(target.resource, name)
            await cluster.remove(target.resource, name)
            return try Self.response(object)
        default:
            throw StandInCluster.Refusal(
                code: 404,
                reason: "NotFound",
                message: "no subresource \(target.subresource ?? "")"
            )
        }
    }

    private func list(_ target: Target) async throws -> Response {
        let query = try Self.checked(target, ["limit", "continue", "fieldSelector", "resourceVersion"])
        let limit = try Self.number(query["limit"], "limit")
        _ = try Self.number(query["resourceVersion"], "resourceVersion")
        if query["continue"] != nil, query["resourceVersion"] != nil {
            throw Self.invalid("specifying resource version is not allowed when using continue")
        }
        return try Self.response(
            try await cluster.list(
                target.resource,
                name: try Self.selected(query["fieldSelector"]),
                limit: limit,
                continuing: query["continue"]
            )
        )
    }

    private func watch(_ inbound: RequestBody, _ target: Target) async throws -> Response {
        let query = try Self.checked(
            target,
            ["watch", "allowWatchBookmarks", "resourceVersion", "timeoutSeconds", "fieldSelector"]
        )
        let version = try Self.number(query["resourceVersion"], "resourceVersion")
        let seconds = try Self.number(query["timeoutSeconds"], "timeoutSeconds") ?? 1800
        let (id, lines) = try await cluster.watch(
            target.resource,
            name: try Self.selected(query["fieldSelector"]),
            from: version == 0 ? nil : version,
            wantsBookmarks: query["allowWatchBookmarks"] == "true"
        )
        let cluster = cluster
        let timer = Task {
            try await Task.sleep(for: .seconds(seconds))
            await cluster.endWatch(id)
        }
        return Self.stream { write in
            defer { timer.cancel() }
            try await inbound.consumeWithInboundCloseHandler { _ in
                // What tells the client that the watch has begun.
                try await write(Data())
                for try await line in lines { try await write(line) }
            } onInboundClosed: {
                Task { await cluster.endWatch(id) }
            }
        }
    }

    private func patch(_ request: Request, _ target: Target, _ name: String) async throws -> Response {
        guard target.subresource == nil || target.subresource == "status" else {
            throw StandInCluster.Refusal(code: 404, reason: "NotFound", message: "no such subresource")
        }
        _ = try Self.checked(target, [])
        let strategic = "application/strategic-merge-patch+json"
        let types = target.resource.group.isEmpty ? [strategic] : []
        let (type, patch) = try await Self.body(request, types + ["application/merge-patch+json"])
        return try Self.response(
            try await cluster.patch(
                target.resource,
                name,
                patch,
                strategic: type == strategic,
                isStatus: target.subresource != nil
            )
        )
    }

    // MARK: - Pieces

    private static func invalid(_ message: String) -> StandInCluster.Refusal {
        StandInCluster.Refusal(code: 400, reason: "BadRequest", message: message)
    }

    private static func checked(_ target: Target, _ known: Set<String>) throws -> [String: String] {
        for key in target.query.keys where !known.contains(key) { throw invalid("unknown parameter \(key)") }
        return target.query
    }

    private static func number(_ text: String?, _ name: String) throws -> Int? {
        guard let text else { return nil }
        guard let number = Int(text), number >= 0 else { throw invalid("\(name): Invalid value: \"\(text)\"") }
        return number
    }

    private static func selected(_ selector: String?) throws -> String? {
        guard let selector else { return nil }
        guard selector.hasPrefix("metadata.name="), !selector.contains(",") else {
            throw invalid("field label not supported: \(selector)")
        }
        return String(selector.dropFirst("metadata.name=".count))
    }

    private static func body(_ request: Request, _ types: [String]) async throws -> (String, JSON) {
        guard let type = request.headers[.contentType], types.contains(type) else {
            throw StandInCluster.Refusal(
                code: 415,
                reason: "UnsupportedMediaType",
                message: "the body of the request was in an unknown format - accepted media types include: \(types)"
            )
        }
        let bytes = try await request.body.collect(upTo: largestBody)
        guard let value = try? JSONDecoder().decode(JSON.self, from: Data(bytes.readableBytesView)) else {
            throw invalid("the body is no JSON")
        }
        return (type, value)
    }

    private static func response(_ object: JSON, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try object.data))
        )
    }

    private static func response(_ refusal: StandInCluster.Refusal) -> Response {
        let status = HTTPResponse.Status(code: refusal.code)
        guard var response = try? response(StandInCluster.status(refusal), status: status) else {
            return Response(status: .internalServerError)
        }
        if let seconds = refusal.retryAfter { response.headers[.retryAfter] = String(seconds) }
        return response
    }

    private static func stream(
        _ body: @escaping @Sendable (_ write: (Data) async throws -> Void) async throws -> Void
    ) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "application/json"],
            body: ResponseBody { writer in
                // A closure may not take the writer, which is the body's own.
                var output = writer
                try await body { try await output.write(ByteBuffer(bytes: $0)) }
                try await output.finish(nil)
            }
        )
    }
}
