public import Foundation

/// The objects of a cluster as the Kubernetes API keeps them: each change has a version, changes are kept for those who
/// watch until they are compacted. What is not implemented is refused, never passed over.
public actor StandInCluster {
    /// A refusal, as the API words it.
    struct Refusal: Error {
        let code: Int
        let reason: String
        let message: String
        var retryAfter: Int?
    }

    /// A kind of objects.
    public struct Resource: Sendable, Hashable {
        /// The API group; empty for the core one.
        public let group: String
        /// The group's version.
        public let version: String
        /// The plural, as in the path.
        public let plural: String
        /// The kind.
        public let kind: String

        /// Of core.
        public static let nodes = Resource(group: "", version: "v1", plural: "nodes", kind: "Node")
        /// Calico's blocks of addresses.
        public static let blocks = Resource(
            group: "crd.projectcalico.org",
            version: "v1",
            plural: "ipamblocks",
            kind: "IPAMBlock"
        )

        var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
        var path: String { (group.isEmpty ? "/api/" : "/apis/") + "\(apiVersion)/\(plural)" }
    }

    private struct Change {
        let version: Int
        let resource: Resource
        let type: String
        let object: JSON
    }

    private struct Watcher {
        let resource: Resource
        let name: String?
        let wantsBookmarks: Bool
        let lines: AsyncThrowingStream<Data, any Error>.Continuation
    }

    /// The API's own limit of all annotations of an object.
    static let largestAnnotations = 256 << 10

    private var objects: [Resource: [String: JSON]] = [:]
    private var version = 1000
    private var oldest = 1000
    private var history: [Change] = []
    private var watchers: [UUID: Watcher] = [:]
    private var pages: [String: (rest: [JSON], version: Int)] = [:]
    private var faults: [(verb: String, fault: Fault)] = []
    private var roles: [String: Role] = [:]
    private var log: [String] = []
    private var refusalsAreEvents = false

    /// An empty one.
    public init() {}

    // MARK: - For tests and scripts

    /// Lets a bearer token do something; before the first, none is asked for.
    public func allow(token: String, _ role: Role) { roles[token] = role }

    /// Takes a token away.
    public func revoke(token: String) { roles[token] = nil }

    /// The next requests of a verb fail, one after the other.
    public func inject(_ fault: Fault, verb: String, times: Int = 1) {
        faults += Array(repeating: (verb, fault), count: times)
    }

    /// Requests since the last call, as `verb path`.
    public func takeRequests() -> [String] {
        defer { log = [] }
        return log
    }

    /// How many watch now.
    public var watcherCount: Int { watchers.count }
    /// How many there have been: who waits for the next one is not content with the last.
    public private(set) var watchersSoFar = 0

    /// Creates an object, or replaces it.
    public func put(_ resource: Resource, _ object: JSON) {
        guard let name = object["metadata"]?["name"]?.text else { preconditionFailure("an object without a name") }
        store(resource, name, object)
    }

    /// An object as it is; nil where there is none.
    public func object(_ resource: Resource, _ name: String) -> JSON? { objects[resource]?[name] }

    /// Changes an object.
    public func change(_ resource: Resource, _ name: String, _ change: @Sendable (inout JSON) -> Void) {
        guard var object = objects[resource]?[name] else { preconditionFailure("no \(name)") }
        change(&object)
        store(resource, name, object)
    }

    /// Removes an object.
    public func remove(_ resource: Resource, _ name: String) {
        guard var object = objects[resource]?.removeValue(forKey: name) else { return }
        version += 1
        object["metadata"]?["resourceVersion"] = .text(String(version))
        record(Change(version: version, resource: resource, type: "DELETED", object: object))
    }

    /// Forgets what has happened: whoever asks for it is told that it is gone.
    /// - Parameter asEvents: whether by an event of the watch, or by its status; the API does both.
    public func compact(asEvents: Bool = false) {
        oldest = version
        history = []
        pages = [:]
        refusalsAreEvents = asEvents
    }

    /// Tells who watches how far the versions have come.
    public func sendBookmarks() throws {
        for watcher in watchers.values where watcher.wantsBookmarks {
            let object: JSON = [
                "kind": .text(watcher.resource.kind), "apiVersion": .text(watcher.resource.apiVersion),
                "metadata": ["resourceVersion": .text(String(version)), "creationTimestamp": .null],
                "spec": [:], "status": [:],
            ]
            watcher.lines.yield(try Self.line("BOOKMARK", object))
        }
    }

    /// Sends bytes to all who watch, whatever they are.
    public func sendRaw(_ bytes: Data) {
        for watcher in watchers.values { watcher.lines.yield(bytes) }
    }

    /// Ends all watches.
    /// - Parameter abruptly: in the middle, by the end of the connection.
    public func endWatches(abruptly: Bool) {
        for watcher in watchers.values {
            if abruptly { watcher.lines.finish(throwing: CancellationError()) } else { watcher.lines.finish() }
        }
        watchers = [:]
    }

    // MARK: - For the server

    func note(_ request: String) { log.append(request) }

    func fault(for verb: String) -> Fault? {
        guard let place = faults.firstIndex(where: { $0.verb == verb }) else { return nil }
        return faults.remove(at: place).fault
    }

    func authorize(_ authorization: String?, _ rule: AccessRule) throws {
        guard !roles.isEmpty else { return }
        guard let token = authorization?.split(separator: " ", maxSplits: 1), token.count == 2, token[0] == "Bearer",
            let role = roles[String(token[1])]
        else { throw Refusal(code: 401, reason: "Unauthorized", message: "Unauthorized") }
        guard role.allows(rule) else {
            throw Refusal(
                code: 403,
                reason: "Forbidden",
                message:
                    "\(rule.resource) is forbidden: User \"system:serviceaccount:vxseal\" cannot \(rule.verb) resource"
                    + " \"\(rule.resource)\" in API group \"\(rule.group)\" at the cluster scope"
            )
        }
    }

    func get(_ resource: Resource, _ name: String) throws -> JSON {
        guard let object = objects[resource]?[name] else {
            throw Refusal(code: 404, reason: "NotFound", message: "\(resource.plural) \"\(name)\" not found")
        }
        return object
    }

    func create(_ resource: Resource, _ object: JSON) throws -> JSON {
        guard let name = object["metadata"]?["name"]?.text, !name.isEmpty else {
            throw Refusal(code: 422, reason: "Invalid", message: "metadata.name: Required value")
        }
        guard objects[resource]?[name] == nil else {
            throw Refusal(code: 409, reason: "AlreadyExists", message: "\(resource.plural) \"\(name)\" already exists")
        }
        store(resource, name, object)
        return try get(resource, name)
    }

    func list(_ resource: Resource, name: String?, limit: Int?, continuing token: String?) throws -> JSON {
        let rest: [JSON]
        let listed: Int
        if let token {
            guard let page = pages.removeValue(forKey: token) else {
                throw Refusal(
                    code: 410,
                    reason: "Expired",
                    message: "The provided continue parameter is too old to display a consistent list result."
                )
            }
            (rest, listed) = page
        } else {
            let all = (objects[resource] ?? [:]).filter { name == nil || $0.key == name }
            (rest, listed) = (all.sorted { $0.key < $1.key }.map(\.value), version)
        }
        var metadata: JSON = ["resourceVersion": .text(String(listed))]
        var items = rest
        if let limit, limit > 0, rest.count > limit {
            items = Array(rest.prefix(limit))
            let next = UUID().uuidString + "+/="
            pages[next] = (Array(rest.dropFirst(limit)), listed)
            metadata["continue"] = .text(next)
        }
        return [
            "kind": .text(resource.kind + "List"), "apiVersion": .text(resource.apiVersion), "metadata": metadata,
            "items": .list(items),
        ]
    }

    /// The lines of a watch, what has happened since the version first.
    func watch(
        _ resource: Resource,
        name: String?,
        from: Int?,
        wantsBookmarks: Bool
    ) throws -> (UUID, AsyncThrowingStream<Data, any Error>) {
        let (stream, lines) = AsyncThrowingStream.makeStream(of: Data.self)
        if let from {
            if from > version {
                throw Refusal(
                    code: 504,
                    reason: "Timeout",
                    message: "Too large resource version: \(from), current: \(version)",
                    retryAfter: 1
                )
            }
            if from < oldest {
                let refusal = Refusal(
                    code: 410,
                    reason: "Expired",
                    message: "too old resource version: \(from) (\(oldest))"
                )
                guard refusalsAreEvents else { throw refusal }
                lines.yield(try Self.line("ERROR", Self.status(refusal)))
                lines.finish()
                return (UUID(), stream)
            }
            for change in history where change.version > from && change.resource == resource {
                guard name == nil || change.object["metadata"]?["name"]?.text == name else { continue }
                lines.yield(try Self.line(change.type, change.object))
            }
        } else {
            for (key, object) in (objects[resource] ?? [:]).sorted(by: { $0.key < $1.key })
            where name == nil || key == name {
                lines.yield(try Self.line("ADDED", object))
            }
        }
        let id = UUID()
        watchersSoFar += 1
        watchers[id] = Watcher(resource: resource, name: name, wantsBookmarks: wantsBookmarks, lines: lines)
        return (id, stream)
    }

    func endWatch(_ id: UUID) {
        watchers.removeValue(forKey: id)?.lines.finish()
    }

    /// - Parameter isStatus: whether by the status subresource, which leaves `spec` alone.
    func patch(_ resource: Resource, _ name: String, _ patch: JSON, strategic: Bool, isStatus: Bool) throws -> JSON {
        let old = try get(resource, name)
        try Self.check(patch, isStatus: isStatus)
        if let expected = patch["metadata"]?["resourceVersion"], expected != old["metadata"]?["resourceVersion"] {
            throw Refusal(code: 409, reason: "Conflict", message: "the object has been modified")
        }
        var new = strategic ? old.strategicallyMerged(with: patch) : old.merged(with: patch)
        if isStatus { new["spec"] = old["spec"] } else { new["status"] = old["status"] }
        var size = 0
        for (key, value) in new["metadata"]?["annotations"]?.members ?? [:] {
            guard let text = value.text else {
                throw Refusal(code: 400, reason: "BadRequest", message: "annotation \(key) is no string")
            }
            size += key.utf8.count + text.utf8.count
        }
        guard size <= Self.largestAnnotations else {
            throw Refusal(
                code: 422,
                reason: "Invalid",
                message: "metadata.annotations: Too long: must have at most 262144 bytes"
            )
        }
        for condition in new["status"]?["conditions"]?.list ?? [] {
            guard condition["type"]?.text != nil,
                condition["status"]?.text.map(["True", "False", "Unknown"].contains) == true
            else {
                throw Refusal(
                    code: 422,
                    reason: "Invalid",
                    message: "status.conditions: a type and a status are required"
                )
            }
        }
        if new != old { store(resource, name, new) }
        return try get(resource, name)
    }

    private static func check(_ patch: JSON, isStatus: Bool) throws {
        let known: Set<String> = ["apiVersion", "kind", "metadata", isStatus ? "status" : "spec"]
        guard let members = patch.members, known.isSuperset(of: members.keys) else {
            throw Refusal(code: 400, reason: "BadRequest", message: "the patch has fields that this path does not take")
        }
        let metadata: Set<String> = ["annotations", "labels", "resourceVersion"]
        guard metadata.isSuperset(of: patch["metadata"]?.members?.keys.map { $0 } ?? []) else {
            throw Refusal(code: 400, reason: "BadRequest", message: "the patch has other metadata")
        }
        for key in patch["metadata"]?["annotations"]?.members?.keys ?? [:].keys {
            let parts = key.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count <= 2, let name = parts.last, (1...63).contains(name.utf8.count) else {
                throw Refusal(code: 422, reason: "Invalid", message: "metadata.annotations: Invalid value: \"\(key)\"")
            }
        }
    }

    private func store(_ resource: Resource, _ name: String, _ new: JSON) {
        version += 1
        var object = new
        object["kind"] = .text(resource.kind)
        object["apiVersion"] = .text(resource.apiVersion)
        object["metadata"]?["resourceVersion"] = .text(String(version))
        let isNew = objects[resource, default: [:]].updateValue(object, forKey: name) == nil
        record(Change(version: version, resource: resource, type: isNew ? "ADDED" : "MODIFIED", object: object))
    }

    private func record(_ change: Change) {
        history.append(change)
        guard let line = try? Self.line(change.type, change.object) else { preconditionFailure("JSON is encoded") }
        let name = change.object["metadata"]?["name"]?.text
        for watcher in watchers.values where watcher.resource == change.resource {
            if watcher.name == nil || watcher.name == name { watcher.lines.yield(line) }
        }
    }

    private static func line(_ type: String, _ object: JSON) throws -> Data {
        try JSON.object(["type": .text(type), "object": object]).data + Data("\n".utf8)
    }

    static func status(_ refusal: Refusal) -> JSON {
        var status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
            "message": .text(refusal.message),
            "reason": .text(refusal.reason), "code": .number(refusal.code),
        ]
        if let seconds = refusal.retryAfter { status["details"] = ["retryAfterSeconds": .number(seconds)] }
        return status
    }
}
