/// Any JSON, for what others print and may extend.
indirect enum JSONValue: Decodable {
    case text(String)
    case number(Int)
    case list([JSONValue])
    case object([String: JSONValue])
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else if let list = try? container.decode([JSONValue].self) {
            self = .list(list)
        } else if let object = try? container.decode([String: JSONValue].self) {
            self = .object(object)
        } else {
            self = .other
        }
    }

    subscript(name: String) -> JSONValue? { if case .object(let object) = self { object[name] } else { nil } }
    func has(_ name: String) -> Bool {
        if case .object(let object) = self { object.keys.contains(name) } else { false }
    }
    var text: String? { if case .text(let text) = self { text } else { nil } }
    var number: Int? { if case .number(let number) = self { number } else { nil } }
    var list: [JSONValue]? { if case .list(let list) = self { list } else { nil } }
}
