import Foundation

/// Any JSON, for what others print and may extend.
package indirect enum JSONValue: Decodable, Sendable, Equatable {
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([JSONValue])
    case object([String: JSONValue])
    case null
    /// A number that is no `Int`.
    case other

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else if let list = try? container.decode([JSONValue].self) {
            self = .list(list)
        } else if let object = try? container.decode([String: JSONValue].self) {
            self = .object(object)
        } else {
            self = container.decodeNil() ? .null : .other
        }
    }

    /// Parses a whole text; nil where it is no JSON.
    package init?(parsing text: String) {
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)) else { return nil }
        self = value
    }

    package subscript(name: String) -> JSONValue? { if case .object(let object) = self { object[name] } else { nil } }

    /// The member of this name in any case, as Go's encoding/json finds it: the exact name before others.
    package subscript(ignoringCase name: String) -> JSONValue? {
        guard case .object(let object) = self else { return nil }
        if let exact = object[name] { return exact }
        let wanted = name.lowercased()
        return object.filter { $0.key.lowercased() == wanted }.min { $0.key < $1.key }?.value
    }

    package func has(_ name: String) -> Bool {
        if case .object(let object) = self { object.keys.contains(name) } else { false }
    }
    package var text: String? { if case .text(let text) = self { text } else { nil } }
    package var number: Int? { if case .number(let number) = self { number } else { nil } }
    package var flag: Bool? { if case .flag(let flag) = self { flag } else { nil } }
    package var list: [JSONValue]? { if case .list(let list) = self { list } else { nil } }
}

extension String {
    /// As a JSON string, quotes included, the way Go's encoding/json writes it for texts without `<`, `>`, `&`.
    package var jsonText: String {
        var text = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            default:
                if scalar.value < 0x20 {
                    let digits = String(scalar.value, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    text.unicodeScalars.append(scalar)
                }
            }
        }
        return text + "\""
    }
}
