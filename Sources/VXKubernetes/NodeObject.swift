import Foundation
import VXControl
import VXWire

/// A Node of the API, as much of it as matters here.
struct NodeObject: APIObject {
    static let resource = APIResource(group: "", version: "v1", plural: "nodes")

    /// A condition of `status.conditions`.
    struct Condition: Decodable, Sendable, Equatable {
        let type: String
        let status: String?
        let reason: String?
    }

    /// Annotations that are kept; without it, all are. A cluster's nodes have many others, long ones among them.
    static let wantedAnnotations = wantedKey()

    private static func wantedKey() -> CodingUserInfoKey {
        guard let key = CodingUserInfoKey(rawValue: "annotations") else { preconditionFailure("any text is a key") }
        return key
    }

    /// Of a longer annotation this much is kept, and one more, by which it is known to have been longer.
    static let longestAnnotation = LeaseAttributes.largestText

    var name: String
    var resourceVersion: String
    var annotations: [String: String]
    /// `spec.podCIDRs`, as they stand there.
    var podCIDRs: [String]
    /// `NetworkUnavailable`, where it is set.
    var networkCondition: Condition?

    init(
        name: String,
        resourceVersion: String = "",
        annotations: [String: String] = [:],
        podCIDRs: [String] = [],
        networkCondition: Condition? = nil
    ) {
        self.name = name
        self.resourceVersion = resourceVersion
        self.annotations = annotations
        self.podCIDRs = podCIDRs
        self.networkCondition = networkCondition
    }

    private enum CodingKeys: CodingKey { case metadata, spec, status }
    private enum MetadataKeys: CodingKey { case name, resourceVersion, annotations }
    private enum SpecKeys: CodingKey { case podCIDR, podCIDRs }
    private enum StatusKeys: CodingKey { case conditions }
    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let metadata = try container.nestedContainer(keyedBy: MetadataKeys.self, forKey: .metadata)
        name = try metadata.decode(String.self, forKey: .name)
        resourceVersion = try metadata.decodeIfPresent(String.self, forKey: .resourceVersion) ?? ""
        annotations = [:]
        if let all = try? metadata.nestedContainer(keyedBy: AnyKey.self, forKey: .annotations) {
            let wanted = decoder.userInfo[Self.wantedAnnotations] as? Set<String>
            for key in all.allKeys where wanted?.contains(key.stringValue) ?? true {
                guard let text = try? all.decode(String.self, forKey: key) else { continue }
                annotations[key.stringValue] = Self.shortened(text)
            }
        }
        let spec = try? container.nestedContainer(keyedBy: SpecKeys.self, forKey: .spec)
        // Old clusters have the first alone.
        let first = (try? spec?.decodeIfPresent(String.self, forKey: .podCIDR)).map { $0.isEmpty ? [] : [$0] } ?? []
        let all = (try? spec?.decodeIfPresent([String].self, forKey: .podCIDRs)) ?? []
        podCIDRs = Array((all.isEmpty ? first : all).prefix(3)).map(Self.shortened)
        let status = try? container.nestedContainer(keyedBy: StatusKeys.self, forKey: .status)
        let conditions = (try? status?.decodeIfPresent([Condition].self, forKey: .conditions)) ?? []
        networkCondition = conditions.first { $0.type == "NetworkUnavailable" }
    }

    private static func shortened(_ text: String) -> String {
        guard text.utf8.count > longestAnnotation else { return text }
        return String(decoding: text.utf8.prefix(longestAnnotation + 1), as: UTF8.self)
    }

    /// The pod subnets.
    struct Subnets: Sendable, Equatable {
        var v4: IPPrefix?
        var v6: IPPrefix?

        var isEmpty: Bool { v4 == nil && v6 == nil }
        var all: [IPPrefix] { [v4, v6].compactMap(\.self) }
    }

    /// The pod subnets, host bits zero; none before the cluster has assigned them.
    /// - Throws: `LeaseAttributes.Failure` for what is no subnet, or more than one of a family.
    func subnets() throws(NodeFailure) -> Subnets {
        var subnets = Subnets()
        for text in podCIDRs {
            guard let prefix = IPPrefix(text)?.network else { throw NodeFailure("its podCIDR is no subnet") }
            guard (prefix.address.isIPv6 ? subnets.v6 : subnets.v4) == nil else {
                throw NodeFailure("it has more than one podCIDR of a family")
            }
            if prefix.address.isIPv6 { subnets.v6 = prefix } else { subnets.v4 = prefix }
        }
        return subnets
    }
}

/// Why a node of the API is no node of the overlay.
struct NodeFailure: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
