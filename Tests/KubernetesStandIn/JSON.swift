public import Foundation

/// Any JSON that the API's objects are made of.
public indirect enum JSON: Sendable, Equatable, Codable {
    case text(String)
    case flag(Bool)
    case number(Int)
    case list([JSON])
    case object([String: JSON])
    case null

    /// Any JSON.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else if let list = try? container.decode([JSON].self) {
            self = .list(list)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    /// As it was read.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .flag(let flag): try container.encode(flag)
        case .number(let number): try container.encode(number)
        case .list(let list): try container.encode(list)
        case .object(let object): try container.encode(object)
        case .null: try container.encodeNil()
        }
    }

    /// Of one line.
    public var data: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self)
        }
    }

    /// A member; nil where this is no object, or has none of that name. Setting makes an object.
    public subscript(name: String) -> JSON? {
        get { members?[name] }
        set {
            var new = members ?? [:]
            new[name] = newValue
            self = .object(new)
        }
    }

    /// A member of a list's element; nil where there is none. Setting it where there is no such element does nothing.
    public subscript(index: Int, name: String) -> JSON? {
        get { list.flatMap { $0.indices.contains(index) ? $0[index][name] : nil } }
        set {
            guard var elements = list, elements.indices.contains(index) else { return }
            elements[index][name] = newValue
            self = .list(elements)
        }
    }

    /// An object's members.
    public var members: [String: JSON]? { if case .object(let object) = self { object } else { nil } }
    /// A text.
    public var text: String? { if case .text(let text) = self { text } else { nil } }
    /// A list's elements.
    public var list: [JSON]? { if case .list(let list) = self { list } else { nil } }

    /// A merge patch (RFC 7386).
    func merged(with patch: JSON) -> JSON {
        guard let changes = patch.members else { return patch }
        var result = members ?? [:]
        for (name, change) in changes {
            result[name] = change == .null ? nil : (result[name] ?? .null).merged(with: change)
        }
        return .object(result)
    }

    /// A strategic merge patch of a Node: as a merge patch, but conditions are merged by their type.
    func strategicallyMerged(with patch: JSON) -> JSON {
        var rest = patch
        let conditions = patch["status"]?["conditions"]?.list
        if conditions != nil { rest["status"]?["conditions"] = nil }
        var result = merged(with: rest)
        guard let conditions else { return result }
        var all = self["status"]?["conditions"]?.list ?? []
        for condition in conditions {
            let place = all.firstIndex { $0["type"] == condition["type"] }
            if condition["$patch"] == .text("delete") {
                if let place { all.remove(at: place) }
            } else if let place {
                all[place] = all[place].merged(with: condition)
            } else {
                all.append(condition)
            }
        }
        var status = result["status"] ?? .object([:])
        status["conditions"] = .list(all)
        result["status"] = status
        return result
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
    /// A text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// An object.
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
    /// A list.
    public init(arrayLiteral elements: JSON...) { self = .list(elements) }
}
