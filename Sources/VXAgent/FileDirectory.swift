import Foundation
import VXControl
import VXLinux
import VXWire

/// A directory of files, for clusters that something else keeps in step: `net-conf.json`, and `nodes/NAME.json` for each node, a
/// `StoredLease`. Whoever sets the nodes up writes each one's subnets; the node adds to its own file what it publishes.
struct FileDirectory: PeerDirectory {
    private let folder: String

    /// How often the files are looked at.
    private static let turn = Duration.seconds(1)
    private static let largestFile = 1 << 16

    init(folder: String) { self.folder = folder }

    private var nodes: String { folder + "/nodes" }

    func networkConfiguration() async throws -> String {
        guard let text = Self.read(folder + "/net-conf.json") else {
            throw DirectoryError(
                "\(folder)/net-conf.json cannot be read; write flannel's net-conf.json there",
                isTransient: true
            )
        }
        return text
    }

    func acquire(_ request: LeaseRequest) async throws -> Lease {
        let path = "\(nodes)/\(request.node).json"
        guard let text = Self.read(path) else {
            throw DirectoryError(
                "\(path) cannot be read; write this node's subnets there: {\"subnets\": [\"10.244.1.0/24\"]}",
                isTransient: !FileManager.default.fileExists(atPath: nodes)
            )
        }
        let stored = try Self.lease(text, name: request.node)
        var lease = request.lease
        lease.id = request.node
        lease.node = request.node
        lease.subnet = stored.subnet
        lease.subnetV6 = stored.subnetV6
        for (subnet, family) in [(lease.subnet, request.pool.v4), (lease.subnetV6, request.pool.v6)] {
            guard let subnet else { continue }
            guard let family, family.network.contains(subnet.address), subnet.length >= family.network.length else {
                throw DirectoryError(
                    "the subnet \(subnet) of \(path) is outside the overlay's network; correct one of them"
                )
            }
        }
        guard !lease.subnets.isEmpty else { throw DirectoryError("\(path) has no subnets; add them") }
        try await publish(lease)
        return lease
    }

    func publish(_ lease: Lease) async throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            let bytes = [UInt8](try encoder.encode(StoredLease(lease))) + [10]
            let path = "\(nodes)/\(lease.id).json"
            if Self.read(path) != String(decoding: bytes, as: UTF8.self) {
                try DurableFile.replace(path, with: bytes, mode: 0o644)
            }
        } catch {
            throw DirectoryError("\(error)", isTransient: true)
        }
    }

    func run(_ lease: Lease, tell: @escaping @Sendable (DirectoryEvent) async -> Void) async throws {
        var known: [String: String]?
        var isReachable = true
        while true {
            if let texts = texts() {
                if !isReachable { await tell(.reachable) }
                isReachable = true
                if let known {
                    for name in known.keys where texts[name] == nil { await tell(.removed(name)) }
                    for (name, text) in texts where known[name] != text { await tell(Self.event(name, text)) }
                } else {
                    let events = texts.map { Self.event($0.key, $0.value) }
                    await tell(.snapshot(events.compactMap { if case .updated(let lease) = $0 { lease } else { nil } }))
                    for event in events { if case .unreadable = event { await tell(event) } }
                }
                known = texts
            } else if isReachable {
                isReachable = false
                await tell(.unreachable("\(nodes) cannot be read"))
            }
            try await Task.sleep(for: Self.turn)
        }
    }

    func release(_ lease: Lease) async throws { unlink("\(nodes)/\(lease.id).json") }

    /// All files' texts by node.
    private func texts() -> [String: String]? {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: nodes) else { return nil }
        var texts: [String: String] = [:]
        for name in names where name.hasSuffix(".json") {
            texts[String(name.dropLast(".json".count))] = Self.read("\(nodes)/\(name)") ?? ""
        }
        return texts
    }

    private static func event(_ name: String, _ text: String) -> DirectoryEvent {
        do {
            return .updated(try lease(text, name: name))
        } catch {
            return .unreadable(name, why: error.description)
        }
    }

    private static func lease(_ text: String, name: String) throws(DirectoryError) -> Lease {
        guard let stored = try? JSONDecoder().decode(StoredLease.self, from: Data(text.utf8)) else {
            throw DirectoryError("the file of \(name) is no lease; write {\"subnets\": [\"10.244.1.0/24\"]}")
        }
        do {
            var lease = try stored.lease(named: name)
            lease.id = name
            lease.node = name
            return lease
        } catch {
            throw DirectoryError("the file of \(name): \(error)")
        }
    }

    private static func read(_ path: String) -> String? {
        guard let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int, size <= largestFile
        else {
            return nil
        }
        return FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}
