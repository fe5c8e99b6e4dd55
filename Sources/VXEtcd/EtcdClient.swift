import Foundation
import VXConfig

/// Speaks to a cluster of etcd by the JSON gateway of its API v3: asks one member, and the others where that fails. Everything
/// that it asks for may be asked twice, for it is not known what became of a request without an answer.
actor EtcdClient {
    /// Keys of a page of a list.
    static let pageSize = 1000
    /// Bytes of a list that are kept: those of 50,000 nodes.
    static let listLimit = 64 << 20

    private let configuration: EtcdConfiguration
    private let transport: EtcdTransport
    private var order: EndpointOrder
    private var token: String?

    /// - Throws: `EtcdError.settings` where an endpoint is none, or files are missing that belong together.
    init(_ configuration: EtcdConfiguration) throws(EtcdError) {
        guard !configuration.endpoints.isEmpty else {
            throw .settings("no endpoint of etcd is configured: endpoints: [\"http://127.0.0.1:2379\"]")
        }
        var endpoints: [String] = []
        for endpoint in configuration.endpoints {
            guard let url = URLComponents(string: endpoint), ["http", "https"].contains(url.scheme),
                url.host?.isEmpty == false, url.user == nil, ["", "/"].contains(url.path), url.query == nil
            else {
                // What cannot be read may have a password in it.
                throw .settings(
                    "endpoint \(endpoints.count + 1) is no URL of a member of etcd: write https://HOST:2379"
                )
            }
            endpoints.append(endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint)
        }
        if (configuration.certificateFile == nil) != (configuration.keyFile == nil) {
            throw .settings("certificateFile and keyFile belong together: name both or none")
        }
        if (configuration.username == nil) != (configuration.passwordFile == nil) {
            throw .settings("username and passwordFile belong together: name both or none")
        }
        self.configuration = configuration
        transport = EtcdTransport(configuration)
        order = EndpointOrder(endpoints)
    }

    // MARK: - Keys

    /// What a key holds; nil where it does not exist.
    func get(_ key: String) async throws -> EtcdEntry? {
        let reply: RangeReply = try await call("kv/range", RangeRequest(EtcdRange(key: key)))
        return reply.kvs?.first
    }

    /// Asks whether a member answers, and has a quorum behind it.
    func probe(_ endpoint: String, _ key: String) async throws {
        let range = RangeRequest(EtcdRange(key: key), limit: 1, keysOnly: true)
        let _: RangeReply = try await call("kv/range", range, at: endpoint)
    }

    /// A range as it was at one revision.
    struct Listing: Sendable {
        var entries: [EtcdEntry] = []
        var revision: Int64 = 0
        var cluster = ""
    }

    /// Reads a range in pages, in the order of the keys. Values that are larger than any lease or record come without their bytes.
    func list(_ range: EtcdRange, keysOnly: Bool = false) async throws -> Listing {
        var rest = range
        // Down to 0, which stands for one entry without its value.
        var size = Self.pageSize
        var listing = Listing()
        var bytes = 0
        while true {
            let reply: RangeReply
            do {
                let request = RangeRequest(
                    rest,
                    limit: max(size, 1),
                    revision: listing.revision > 0 ? listing.revision : nil,
                    keysOnly: keysOnly || size == 0
                )
                reply = try await call("kv/range", request)
            } catch let error as EtcdError where error.isOfSize && size > 0 {
                size /= 8
                continue
            }
            if listing.revision == 0 {
                listing.revision = reply.header.revision.value
                listing.cluster = reply.header.cluster_id ?? ""
            }
            for var entry in reply.kvs ?? [] {
                if size == 0 && !keysOnly || entry.bytes.count > EtcdEntry.largestValue { entry.cut() }
                bytes += entry.key.count + entry.bytes.count + 64
                listing.entries.append(entry)
            }
            guard bytes <= Self.listLimit, listing.entries.count <= LeaseTable.most else { throw EtcdError.tooMany }
            guard reply.more == true, let last = listing.entries.last, reply.kvs?.isEmpty == false else {
                return listing
            }
            rest = EtcdRange(start: last.key + [0], end: range.end)
            size = min(Self.pageSize, max(size, 1) * 2)
        }
    }

    /// Does `success` where all comparisons hold, else `failure`.
    func transact(
        _ compare: [Comparison],
        success: [Operation],
        failure: [Operation] = []
    ) async throws -> TransactionReply {
        try await call("kv/txn", TransactionRequest(compare: compare, success: success, failure: failure))
    }

    // MARK: - Leases

    /// Makes an etcd lease. Its id is the caller's choice, so that one whose answer was lost is not left behind.
    /// - Returns: seconds that etcd gives it.
    func grantLease(_ id: Int64, seconds: Int64) async throws -> Int64 {
        do {
            let request = EtcdLeaseRequest(ID: EtcdNumber(id), TTL: EtcdNumber(seconds))
            let reply: EtcdLeaseReply = try await call("lease/grant", request)
            return reply.TTL?.value ?? seconds
        } catch let error as EtcdError where error.isOfLeaseThatExists {
            return seconds
        }
    }

    /// Starts a lease's time anew.
    /// - Returns: seconds that it lasts from now; nil where there is no such lease.
    func keepLeaseAlive(_ id: Int64) async throws -> Int64? {
        let body = try JSONEncoder().encode(EtcdLeaseRequest(ID: EtcdNumber(id)))
        return try await anywhere { endpoint, token in
            let reply: Streamed<EtcdLeaseReply> = try await self.ask(endpoint, "lease/keepalive", body, token)
            if let error = reply.error?.error(at: endpoint) { throw error }
            guard let result = reply.result else {
                throw EtcdError.unreachable(endpoint, "an answer to lease/keepalive that is not etcd's")
            }
            return result.TTL.flatMap { $0.value > 0 ? $0.value : nil }
        }
    }

    /// Ends a lease, and removes the keys that are attached to it. One that is gone already is no error.
    func revokeLease(_ id: Int64) async throws {
        do {
            let _: EtcdLeaseReply = try await call("lease/revoke", EtcdLeaseRequest(ID: EtcdNumber(id)))
        } catch let error as EtcdError where error.isOfLease {
            return
        }
    }

    /// Ends a lease that no key is attached to.
    func revokeEmptyLease(_ id: Int64) async throws {
        let reply: EtcdLeaseReply = try await call("lease/timetolive", EtcdLeaseRequest(ID: EtcdNumber(id), keys: true))
        guard let seconds = reply.TTL?.value, seconds > 0, (reply.keys ?? []).isEmpty else { return }
        try await revokeLease(id)
    }

    // MARK: - Watch

    /// Watches a range from a revision on.
    func watch(_ range: EtcdRange, from revision: Int64) async throws -> EtcdWatch {
        let create = WatchRequest.Create(
            key: range.start,
            range_end: range.end,
            start_revision: EtcdNumber(revision)
        )
        let body = try JSONEncoder().encode(WatchRequest(create_request: create))
        let probe = try JSONEncoder().encode(RangeRequest(range, limit: 1, keysOnly: true))
        return try await anywhere { endpoint, token in
            // A token that has run out is told of here; a watch would only be cancelled as not permitted.
            if token != nil { _ = try await self.transport.ask(endpoint, "/v3/kv/range", body: probe, token: token) }
            return EtcdWatch(
                endpoint: endpoint,
                body: try await self.transport.open(endpoint, "/v3/watch", body: body, token: token)
            )
        }
    }

    /// A watch of this member failed: others are asked before it.
    func failed(_ endpoint: String) { order.failed(endpoint) }

    // MARK: - Asking

    private func call<Request: Encodable & Sendable, Reply: Decodable & Sendable>(
        _ path: String,
        _ request: Request,
        at endpoint: String? = nil
    ) async throws -> Reply {
        let body = try JSONEncoder().encode(request)
        return try await anywhere(at: endpoint) { try await self.ask($0, path, body, $1) }
    }

    private nonisolated func ask<Reply: Decodable & Sendable>(
        _ endpoint: String,
        _ path: String,
        _ body: Data,
        _ token: String?
    ) async throws -> Reply {
        let answer = try await transport.ask(endpoint, "/v3/" + path, body: body, token: token)
        guard let reply = try? JSONDecoder().decode(Reply.self, from: answer) else {
            throw EtcdError.unreachable(endpoint, "an answer to \(path) that is not etcd's")
        }
        return reply
    }

    /// Asks one member after the other until one answers.
    private func anywhere<Reply: Sendable>(
        at only: String? = nil,
        _ ask: @Sendable (_ endpoint: String, _ token: String?) async throws -> Reply
    ) async throws -> Reply {
        var last = EtcdError.settings("no endpoint of etcd is configured")
        for endpoint in only.map({ [$0] }) ?? order.all {
            do {
                return try await once(endpoint, ask)
            } catch let error as EtcdError where error.isOfMember {
                order.failed(endpoint)
                last = error
            }
        }
        throw last
    }

    /// Asks a member; again with a fresh token where it refuses the one that there is.
    private func once<Reply: Sendable>(
        _ endpoint: String,
        _ ask: @Sendable (_ endpoint: String, _ token: String?) async throws -> Reply
    ) async throws -> Reply {
        var token = try await authenticated(endpoint)
        do {
            do {
                return try await ask(endpoint, token)
            } catch let error as EtcdError where error.isOfToken && token != nil {
                if self.token == token { self.token = nil }
                token = try await authenticated(endpoint)
                return try await ask(endpoint, token)
            }
        } catch let error as EtcdError {
            throw error.concealing(token)
        }
    }

    /// The token to ask with; nil where etcd asks for none.
    private func authenticated(_ endpoint: String) async throws -> String? {
        guard let name = configuration.username, let file = configuration.passwordFile else { return nil }
        if let token { return token }
        let password = try SecretFile.password(file)
        let body = try JSONEncoder().encode(AuthenticateRequest(name: name, password: password))
        do {
            let reply: AuthenticateReply = try await ask(endpoint, "auth/authenticate", body, nil)
            guard reply.token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw EtcdError.unreachable(endpoint, "a token that is not etcd's")
            }
            token = reply.token
            return reply.token
        } catch let error as EtcdError where error.isOfAuthenticationThatIsOff {
            return nil
        } catch let error as EtcdError {
            throw error.concealing(password)
        }
    }
}
