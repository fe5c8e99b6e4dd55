import Foundation
import VXControl
import VXWire

/// The leases and records below a prefix, joined by id, and what is new of them.
struct LeaseTable: Sendable {
    /// Both halves of an entry, each as it was read.
    private struct Row: Sendable, Equatable {
        enum Half<Value: Sendable & Equatable>: Sendable, Equatable {
            case absent
            case read(Value)
            case unreadable(String)
        }
        var lease = Half<Lease>.absent
        var record = Half<String>.absent

        var isEmpty: Bool { lease == .absent && record == .absent }

        /// What is to be told of it; nil where there is no lease.
        func news(_ id: String) -> DirectoryEvent? {
            switch (lease, record) {
            case (.absent, _): return nil
            case (.unreadable(let why), _): return .unreadable(id, why: why)
            // A node whose record cannot be read must not pass for one that has none.
            case (.read, .unreadable(let why)): return .unreadable(id, why: why)
            case (.read(let lease), .absent): return .updated(lease)
            case (.read(var lease), .read(let record)):
                lease.record = record
                return .updated(lease)
            }
        }
    }

    /// Entries that are kept; the list of more is refused.
    static let most = 100_000

    private let keys: EtcdKeys
    private var rows: [String: Row] = [:]
    /// Keys of neither grammar, as they are told.
    private var strangers: Set<String> = []

    init(_ keys: EtcdKeys) { self.keys = keys }

    /// Begins anew with a list.
    init(_ keys: EtcdKeys, _ entries: [EtcdEntry]) {
        self.init(keys)
        for entry in entries { put(entry) }
    }

    /// How many entries there are.
    var count: Int { rows.count + strangers.count }

    /// All of it: the leases, then what cannot be read.
    var snapshot: [DirectoryEvent] {
        var leases: [Lease] = []
        var unreadable: [DirectoryEvent] = []
        for (id, row) in rows.sorted(by: { $0.key < $1.key }) {
            switch row.news(id) {
            case .updated(let lease)?: leases.append(lease)
            case let event?: unreadable.append(event)
            case nil: continue
            }
        }
        unreadable += strangers.sorted().map { .unreadable($0, why: Self.noKey) }
        return [.snapshot(leases)] + unreadable
    }

    /// Takes changes, and says what is new by them, once for each id: an etcd lease that ends takes both of its keys at once.
    mutating func apply(_ events: [WatchReply.Event]) -> [DirectoryEvent] {
        var before: [String: DirectoryEvent?] = [:]
        var order: [String] = []
        for event in events {
            let id: String
            switch keys.meaning(of: event.kv.key) {
            case .lease(_, let lease): id = lease
            case .record(let lease): id = lease
            case .unreadable(let printable): id = printable
            case .other: continue
            }
            if before[id] == nil {
                before[id] = .some(news(id))
                order.append(id)
            }
            if event.isDeletion { remove(event.kv) } else { put(event.kv) }
        }
        return order.compactMap { id in
            let now = news(id)
            guard let old = before[id], old != now else { return nil }
            return now ?? .removed(id)
        }
    }

    private static let noKey = "its key is none of a lease"

    private func news(_ id: String) -> DirectoryEvent? {
        strangers.contains(id) ? .unreadable(id, why: Self.noKey) : rows[id]?.news(id)
    }

    private mutating func put(_ entry: EtcdEntry) {
        switch keys.meaning(of: entry.key) {
        case .lease(let key, let id): rows[id, default: Row()].lease = Self.lease(key, id, entry)
        case .record(let id): rows[id, default: Row()].record = Self.record(entry)
        case .unreadable(let printable): strangers.insert(printable)
        case .other: return
        }
    }

    private mutating func remove(_ entry: EtcdEntry) {
        let changed: String
        switch keys.meaning(of: entry.key) {
        case .lease(_, let id):
            rows[id]?.lease = .absent
            changed = id
        case .record(let id):
            rows[id]?.record = .absent
            changed = id
        case .unreadable(let printable):
            strangers.remove(printable)
            return
        case .other: return
        }
        if rows[changed]?.isEmpty == true { rows[changed] = nil }
    }

    // MARK: - Values

    private static func lease(_ key: LeaseKey, _ id: String, _ entry: EtcdEntry) -> Row.Half<Lease> {
        do {
            return .read(try Lease(key: key, id: id, entry: entry))
        } catch {
            return .unreadable(error.description)
        }
    }

    private static func record(_ entry: EtcdEntry) -> Row.Half<String> {
        guard !entry.isCut, entry.bytes.count <= SealRecord.largestText else {
            return .unreadable("a record of more than \(SealRecord.largestText) bytes")
        }
        guard let text = String(validating: entry.bytes, as: UTF8.self) else {
            return .unreadable("a record that is no UTF-8")
        }
        return .read(text)
    }
}

extension Lease {
    /// What a lease's key and value say. A key without etcd lease is a reservation, but where a node has written itself into it:
    /// flannel uses one that has its address.
    init(key: LeaseKey, id: String, entry: EtcdEntry) throws(DirectoryError) {
        guard !entry.isCut else { throw DirectoryError("a value of more than \(EtcdEntry.largestValue) bytes") }
        guard let text = String(validating: entry.bytes, as: UTF8.self) else { throw DirectoryError("no UTF-8") }
        let attributes: LeaseAttributes
        do {
            attributes = try LeaseAttributes(parsing: text)
        } catch {
            throw DirectoryError(error.description)
        }
        self.init(
            id: id,
            subnet: key.subnetV4,
            subnetV6: key.subnetV6,
            publicIP: attributes.publicIP,
            publicIPv6: attributes.publicIPv6,
            backendType: attributes.backendType,
            backend: attributes.backend,
            backendV6: attributes.backendV6,
            isReservation: entry.leaseID == 0 && attributes.backendType.isEmpty
        )
    }
}
