import VXWire
import Yams

/// Walks a YAML mapping, field by field, and collects every problem with its line instead of stopping at the first.
final class ProblemList {
    let file: String
    private(set) var problems: [ConfigurationProblem] = []

    init(file: String) { self.file = file }

    func add(_ node: Node?, _ what: String, _ mend: String) {
        add(line: node?.mark?.line ?? 0, what, mend)
    }

    func add(line: Int, _ what: String, _ mend: String) {
        problems.append(ConfigurationProblem(file: file, line: line, what: what, mend: mend))
    }
}

/// One mapping of the file. Every field that is asked for counts as known; `finish` reports the others.
final class MappingReader {
    let node: Node
    private let path: String
    private let problems: ProblemList
    private var fields: [String: Node] = [:]
    private var keys: [(name: String, node: Node)] = []
    private var known: Set<String> = []

    init?(_ node: Node, path: String, problems: ProblemList) {
        guard let mapping = node.mapping else {
            problems.add(node, "\(path) is no mapping", "write it as `key: value` lines")
            return nil
        }
        self.node = node
        self.path = path
        self.problems = problems
        for (key, value) in mapping {
            guard let name = key.string else {
                problems.add(key, "a key of \(path) is no text", "write keys as plain words")
                continue
            }
            fields[name] = value
            keys.append((name, key))
        }
    }

    private func name(_ field: String) -> String { path.isEmpty ? field : "\(path).\(field)" }

    func value(_ field: String) -> Node? {
        known.insert(field)
        guard let node = fields[field] else { return nil }
        // Nothing, `~` or `null`; in quotes it is a text.
        if let scalar = node.scalar, node.null != nil, scalar.style == .plain || scalar.string.isEmpty { return nil }
        return node
    }

    func text(_ field: String) -> String? {
        guard let node = value(field) else { return nil }
        guard let text = node.string, node.scalar != nil, !text.isEmpty else {
            problems.add(node, "\(name(field)) is no text", "give one value on its line")
            return nil
        }
        return text
    }

    func required(_ field: String, _ mend: String) -> String? {
        if value(field) == nil {
            problems.add(node, "\(name(field)) is missing", mend)
            return nil
        }
        return text(field)
    }

    func boolean(_ field: String, default fallback: Bool) -> Bool {
        guard let node = value(field) else { return fallback }
        guard let value = node.bool else {
            problems.add(node, "\(name(field)) is neither true nor false", "write true or false")
            return fallback
        }
        return value
    }

    func integer(_ field: String, in range: ClosedRange<Int>) -> Int? {
        guard let node = value(field) else { return nil }
        guard let number = node.int, range.contains(number) else {
            problems.add(
                node,
                "\(name(field)) is no number from \(range.lowerBound) to \(range.upperBound)",
                "give one in that range"
            )
            return nil
        }
        return number
    }

    /// The items of a sequence; none when the field is absent.
    func items(_ field: String) -> [Node] {
        guard let node = value(field) else { return [] }
        guard let sequence = node.sequence else {
            problems.add(node, "\(name(field)) is no list", "write it as `- item` lines or [a, b]")
            return []
        }
        return Array(sequence)
    }

    /// A value that a parser turns text into.
    func parsed<Value>(_ field: String, _ mend: String, _ parse: (String) -> Value?) -> Value? {
        guard let text = text(field) else { return nil }
        guard let value = parse(text) else {
            problems.add(fields[field], "\(name(field)) `\(text)` cannot be read", mend)
            return nil
        }
        return value
    }

    /// Values that a parser turns items' text into.
    func parsedItems<Value>(_ field: String, _ mend: String, _ parse: (String) -> Value?) -> [Value] {
        items(field).compactMap { item in
            guard let text = item.string, item.scalar != nil, let value = parse(text) else {
                problems.add(item, "an item of \(name(field)) cannot be read", mend)
                return nil
            }
            return value
        }
    }

    /// Reports unknown keys.
    func finish() {
        for key in keys where !known.contains(key.name) {
            let near = known.filter { Self.distance($0, key.name) <= 2 }.min { $0 < $1 }
            let mend =
                near.map { "did you mean `\($0)`?" }
                ?? "remove it; known here: \(known.sorted().joined(separator: ", "))"
            problems.add(key.node, "unknown key `\(name(key.name))`", mend)
        }
    }

    /// Levenshtein's distance, for the near misses of people who type.
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.lowercased().prefix(40)), Array(right.lowercased().prefix(40)))
        var row = Array(0...right.count)
        for (place, character) in left.enumerated() {
            var diagonal = row[0]
            row[0] = place + 1
            for column in right.indices {
                let cost = diagonal + (character == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(cost, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}
