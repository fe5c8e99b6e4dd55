import Foundation

// The JSON gateway of etcd's API v3 (etcd, api/etcdserverpb/rpc.proto): 64-bit numbers are texts, bytes are base64, and what is
// zero, false or empty is absent.

/// A 64-bit number, written as a text.
struct EtcdNumber: Codable, Sendable, Hashable {
    let value: Int64

    init(_ value: Int64) { self.value = value }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            value = number
        } else if let number = Int64(try container.decode(String.self)) {
            value = number
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no number of 64 bits")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(value))
    }
}

/// A key and what it holds.
struct EtcdEntry: Decodable, Sendable, Equatable {
    let key: Data
    private(set) var value: Data?
    let lease: EtcdNumber?
    let create_revision: EtcdNumber?
    let mod_revision: EtcdNumber?

    /// More than any lease or record has.
    static let largestValue = 16384
    /// The value was too large to be kept.
    private(set) var isCut = false

    enum CodingKeys: String, CodingKey {
        case key, value, lease, create_revision, mod_revision
    }

    /// Drops the value.
    mutating func cut() {
        value = nil
        isCut = true
    }

    /// The value's bytes.
    var bytes: Data { value ?? Data() }
    /// The etcd lease that it is attached to; 0 for none.
    var leaseID: Int64 { lease?.value ?? 0 }
}

/// Keys from one on, up to another.
struct EtcdRange: Sendable, Equatable {
    let start: Data
    /// The first that is not in it; nil for one key alone.
    let end: Data?

    init(start: Data, end: Data?) {
        self.start = start
        self.end = end
    }

    /// One key.
    init(key: String) { self.init(start: Data(key.utf8), end: nil) }

    /// All keys that begin with a text, whose last byte is below 255, as that of every UTF-8 is.
    init(prefix: String) {
        var end = Data(prefix.utf8)
        if let last = end.popLast() { end.append(last + 1) }
        self.init(start: Data(prefix.utf8), end: end)
    }
}

struct RangeRequest: Encodable, Sendable {
    var key: Data
    var range_end: Data?
    var limit: EtcdNumber?
    var revision: EtcdNumber?
    var keys_only: Bool?

    init(_ range: EtcdRange, limit: Int? = nil, revision: Int64? = nil, keysOnly: Bool = false) {
        key = range.start
        range_end = range.end
        self.limit = limit.map { EtcdNumber(Int64($0)) }
        self.revision = revision.map(EtcdNumber.init)
        keys_only = keysOnly ? true : nil
    }
}

struct RangeReply: Decodable, Sendable {
    struct Header: Decodable, Sendable {
        /// Absent within a transaction's answer.
        let cluster_id: String?
        let revision: EtcdNumber
    }
    let header: Header
    let kvs: [EtcdEntry]?
    let more: Bool?
}

struct PutRequest: Encodable, Sendable {
    let key: Data
    let value: Data
    let lease: EtcdNumber?

    init(_ key: String, _ value: String, lease: Int64) {
        self.key = Data(key.utf8)
        self.value = Data(value.utf8)
        self.lease = lease == 0 ? nil : EtcdNumber(lease)
    }
}

struct DeleteRequest: Encodable, Sendable {
    let key: Data
    init(_ key: String) { self.key = Data(key.utf8) }
}

/// What must hold for a transaction's first branch.
struct Comparison: Encodable, Sendable {
    let key: Data
    var range_end: Data?
    let target: String
    let result: String
    var version: EtcdNumber?
    var mod_revision: EtcdNumber?
    var lease: EtcdNumber?
    var value: Data?

    /// No key of a range exists.
    static func isAbsent(_ range: EtcdRange) -> Comparison {
        Comparison(key: range.start, range_end: range.end, target: "VERSION", result: "EQUAL", version: EtcdNumber(0))
    }

    /// A key exists.
    static func exists(_ key: String) -> Comparison {
        Comparison(key: Data(key.utf8), target: "VERSION", result: "GREATER", version: EtcdNumber(0))
    }

    /// Nobody has changed a key since; 0 for one that did not exist.
    static func isUnchanged(_ key: String, since revision: Int64) -> Comparison {
        Comparison(key: Data(key.utf8), target: "MOD", result: "EQUAL", mod_revision: EtcdNumber(revision))
    }

    /// A key has this value.
    static func holds(_ key: String, _ value: String) -> Comparison {
        Comparison(key: Data(key.utf8), target: "VALUE", result: "EQUAL", value: Data(value.utf8))
    }

    /// A key is attached to an etcd lease; 0 for none.
    static func isAttached(_ key: String, to lease: Int64) -> Comparison {
        Comparison(key: Data(key.utf8), target: "LEASE", result: "EQUAL", lease: EtcdNumber(lease))
    }
}

/// One step of a transaction's branch.
struct Operation: Encodable, Sendable {
    var request_put: PutRequest?
    var request_range: RangeRequest?
    var request_delete_range: DeleteRequest?

    static func put(_ key: String, _ value: String, lease: Int64) -> Operation {
        Operation(request_put: PutRequest(key, value, lease: lease))
    }
    static func get(_ key: String) -> Operation { Operation(request_range: RangeRequest(EtcdRange(key: key))) }
    static func delete(_ key: String) -> Operation { Operation(request_delete_range: DeleteRequest(key)) }
}

struct TransactionRequest: Encodable, Sendable {
    let compare: [Comparison]
    let success: [Operation]
    let failure: [Operation]
}

struct TransactionReply: Decodable, Sendable {
    struct Response: Decodable, Sendable {
        let response_range: RangeReply?
    }
    let succeeded: Bool?
    let responses: [Response]?

    /// What the ranges of the branch found.
    var entries: [EtcdEntry] { (responses ?? []).flatMap { $0.response_range?.kvs ?? [] } }
}

struct EtcdLeaseRequest: Encodable, Sendable {
    let ID: EtcdNumber
    var TTL: EtcdNumber?
    var keys: Bool?
}

struct EtcdLeaseReply: Decodable, Sendable {
    let TTL: EtcdNumber?
    let keys: [Data]?
}

/// A line of a stream, or an error in its place.
struct Streamed<Result: Decodable & Sendable>: Decodable, Sendable {
    let result: Result?
    let error: EtcdRefusal?
}

struct WatchRequest: Encodable, Sendable {
    struct Create: Encodable, Sendable {
        let key: Data
        let range_end: Data?
        let start_revision: EtcdNumber
        let progress_notify = true
        /// Many events come in several lines.
        let fragment = true
    }
    let create_request: Create
}

struct WatchReply: Decodable, Sendable {
    struct Event: Decodable, Sendable {
        /// Absent for a put.
        let type: String?
        let kv: EtcdEntry

        var isDeletion: Bool { type == "DELETE" }
    }
    struct Header: Decodable, Sendable {
        let cluster_id: String?
        /// Absent where a watch ends because its revision is compacted.
        let revision: EtcdNumber?
    }
    let header: Header?
    let created: Bool?
    let canceled: Bool?
    let cancel_reason: String?
    let compact_revision: EtcdNumber?
    let fragment: Bool?
    let events: [Event]?
}

struct AuthenticateRequest: Encodable, Sendable {
    let name: String
    let password: String
}

struct AuthenticateReply: Decodable, Sendable {
    let token: String
}

/// An error; within a stream the code has another name in some versions.
struct EtcdRefusal: Decodable, Sendable {
    let code: Int?
    let grpc_code: Int?
    let message: String?

    /// As it is thrown; nil where it is none of etcd's.
    func error(at endpoint: String) -> EtcdError? {
        guard let code = grpc_code ?? code else { return nil }
        let message = EtcdError.printable(message ?? "")
        if code == EtcdError.Code.outOfRange, message.contains("compacted") { return .compacted }
        return .refused(code, message, endpoint)
    }
}
