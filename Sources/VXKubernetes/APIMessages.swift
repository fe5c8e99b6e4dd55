import Foundation

/// An object of the API, with as much of it as is kept.
protocol APIObject: Decodable, Sendable, Equatable {
    /// `metadata.name`, unique among those of its resource.
    var name: String { get }
    /// `metadata.resourceVersion`; it has no order that a client may know.
    var resourceVersion: String { get }
    /// Where objects of this kind are.
    static var resource: APIResource { get }
}

/// A kind of objects that are the whole cluster's.
struct APIResource: Sendable, Equatable {
    /// The API group, empty for the core one.
    let group: String
    let version: String
    /// The name in the path, in the plural.
    let plural: String

    var path: String { (group.isEmpty ? "/api/" : "/apis/\(group)/") + "\(version)/\(plural)" }
}

/// One page of a list.
struct ObjectPage<Object: APIObject>: Decodable, Sendable {
    private struct Metadata: Decodable {
        let resourceVersion: String?
        let `continue`: String?
    }

    let items: [Object]
    /// What a watch goes on from.
    let resourceVersion: String
    /// Names the next page; nil after the last.
    let next: String?

    private enum CodingKeys: CodingKey { case metadata, items }

    init(items: [Object], resourceVersion: String, next: String? = nil) {
        self.items = items
        self.resourceVersion = resourceVersion
        self.next = next
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let metadata = try container.decode(Metadata.self, forKey: .metadata)
        // Go writes a list without elements as null.
        items = try container.decodeIfPresent([Object].self, forKey: .items) ?? []
        resourceVersion = metadata.resourceVersion ?? ""
        next = metadata.continue.flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// One line of a watch.
enum WatchEvent<Object: APIObject>: Decodable, Sendable, Equatable {
    /// It is new or has changed.
    case put(Object)
    /// It is gone.
    case removed(Object)
    /// Nothing, up to this version.
    case bookmark(String)
    /// The watch ends.
    case failed(APIStatus)
    /// What a later API may have.
    case other

    private enum CodingKeys: CodingKey { case type, object }
    private struct Bookmark: Decodable {
        struct Metadata: Decodable { let resourceVersion: String }
        let metadata: Metadata
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        switch try container.decode(String.self, forKey: .type) {
        case "ADDED", "MODIFIED": self = .put(try container.decode(Object.self, forKey: .object))
        case "DELETED": self = .removed(try container.decode(Object.self, forKey: .object))
        case "BOOKMARK":
            self = .bookmark(try container.decode(Bookmark.self, forKey: .object).metadata.resourceVersion)
        case "ERROR": self = .failed(try container.decode(APIStatus.self, forKey: .object))
        default: self = .other
        }
    }
}

/// The API's `Status` object: why it did not do what it was asked.
struct APIStatus: Decodable, Sendable, Equatable {
    struct Details: Decodable, Sendable, Equatable { let retryAfterSeconds: Double? }

    let code: Int?
    let message: String?
    let details: Details?
}
