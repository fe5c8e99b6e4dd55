import AsyncHTTPClient
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import NIOSSL
import VXConfig

/// One HTTP exchange with one member of etcd, within bounds of size and time.
struct EtcdTransport: Sendable {
    /// Bytes of an answer that are read: a request's greatest size (1.5 MiB by etcd's own default) as base64, and room to spare.
    static let answerLimit = 8 << 20
    /// Bytes of a line of a stream that are read. Etcd cuts events into lines of that greatest size, plus 512 KiB.
    static let lineLimit = 8 << 20
    /// Seconds for a whole exchange, and for a stream's first line. Etcd itself gives up after 5 to 7 s.
    static let patience = 8.0

    private let configuration: EtcdConfiguration
    /// Lives as long as the process. A member that is not there is told at once, for there are others; a redirection would
    /// carry the token elsewhere.
    private static let http = {
        var settings = HTTPClient.Configuration()
        settings.timeout.connect = .seconds(5)
        settings.connectionPool.retryConnectionEstablishment = false
        // Each watch keeps a connection for itself.
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 256
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    }()

    init(_ configuration: EtcdConfiguration) { self.configuration = configuration }

    /// Asks, and reads the whole answer.
    func ask(_ endpoint: String, _ path: String, body: Data, token: String?) async throws -> Data {
        let request = try request(endpoint, path, body: body, token: token)
        return try await Self.within(Self.patience, endpoint) {
            do {
                let response = try await Self.http.execute(request, timeout: .seconds(Int64(Self.patience)))
                let answer = Data(buffer: try await response.body.collect(upTo: Self.answerLimit))
                guard response.status == .ok else {
                    throw Self.refusal(endpoint, status: response.status, answer: answer)
                }
                return answer
            } catch {
                throw Self.failure(error, endpoint)
            }
        }
    }

    /// Asks for a stream.
    func open(_ endpoint: String, _ path: String, body: Data, token: String?) async throws -> HTTPClientResponse.Body {
        let request = try request(endpoint, path, body: body, token: token)
        do {
            let response = try await Self.http.execute(request, timeout: .seconds(Int64(Self.patience)))
            guard response.status == .ok else {
                let answer = try await Self.within(Self.patience, endpoint) {
                    Data(buffer: try await response.body.collect(upTo: Self.answerLimit))
                }
                throw Self.refusal(endpoint, status: response.status, answer: answer)
            }
            return response.body
        } catch {
            throw Self.failure(error, endpoint)
        }
    }

    private func request(_ endpoint: String, _ path: String, body: Data, token: String?) throws -> HTTPClientRequest {
        var request = HTTPClientRequest(url: endpoint + path)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        // As clients by gRPC do: a member that has lost its leader ends a stream with an error instead of falling silent.
        request.headers.add(name: "grpc-metadata-hasleader", value: "true")
        if let token { request.headers.add(name: "authorization", value: token) }
        request.body = .bytes(ByteBuffer(data: body))
        if endpoint.hasPrefix("https:") { request.tlsConfiguration = try encryption() }
        return request
    }

    /// Read anew for each exchange: certificates are replaced while the process runs.
    private func encryption() throws(EtcdError) -> TLSConfiguration {
        var settings = TLSConfiguration.makeClientConfiguration()
        settings.minimumTLSVersion = .tlsv12
        if let path = configuration.caFile {
            do {
                settings.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(path))
            } catch {
                throw .settings("caFile \(path) cannot be read as PEM certificates: \(error)")
            }
        }
        if let path = configuration.certificateFile, let keyFile = configuration.keyFile {
            let key = try SecretFile.read(keyFile, name: "keyFile")
            do {
                settings.certificateChain = try NIOSSLCertificate.fromPEMFile(path).map { .certificate($0) }
            } catch {
                throw .settings("certificateFile \(path) cannot be read as PEM certificates: \(error)")
            }
            do {
                settings.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(key), format: .pem))
            } catch {
                throw .settings("keyFile \(keyFile) holds no private key in PEM")
            }
        }
        return settings
    }

    // MARK: - Failures

    private static func refusal(_ endpoint: String, status: HTTPResponseStatus, answer: Data) -> EtcdError {
        if let error = (try? JSONDecoder().decode(EtcdRefusal.self, from: answer))?.error(at: endpoint) { return error }
        return .unreachable(endpoint, "it answers HTTP \(status.code), and not as etcd 3.4 or later does")
    }

    private static func failure(_ error: any Error, _ endpoint: String) -> any Error {
        switch error {
        case is EtcdError, is CancellationError: error
        case is NIOTooManyBytesError: EtcdError.tooLarge(endpoint)
        case let error as IOError: EtcdError.unreachable(endpoint, unsafe String(cString: strerror(error.errnoCode)))
        case let error as HTTPClientError where error == .cancelled: CancellationError()
        case let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout:
            EtcdError.unreachable(endpoint, "no answer within \(Int(patience)) s")
        default: EtcdError.unreachable(endpoint, EtcdError.printable("\(error)"))
        }
    }

    /// A stream's failure.
    static func streamFailure(_ error: any Error, _ endpoint: String) -> any Error { failure(error, endpoint) }

    private static func within<Result: Sendable>(
        _ seconds: Double,
        _ endpoint: String,
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                throw EtcdError.unreachable(endpoint, "no whole answer within \(Int(seconds)) s")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
