import Foundation

/// The little of Helm's language that the chart uses: values, quoted values, and conditions on lines of their own. All
/// else is an error, so that the chart stays what this can render as Helm does.
struct ChartTemplate {
    struct Failure: Error {
        let line: String
    }

    private let values: [String: Any]

    init(values: [String: Any]) { self.values = values }

    func render(_ text: String) throws -> String {
        var output: [String] = []
        /// Whether each condition around holds.
        var conditions: [Bool] = []
        for line in text.components(separatedBy: "\n") {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if trimmed.hasPrefix("{{-") {
                guard trimmed.hasSuffix(" }}") else { throw Failure(line: line) }
                let words = trimmed.dropFirst(3).dropLast(2).split(separator: " ").map(String.init)
                switch (words.first, words.count) {
                case ("if", 2): conditions.append(try condition(words[1], line))
                case ("else", 1):
                    guard let last = conditions.popLast() else { throw Failure(line: line) }
                    conditions.append(!last)
                case ("end", 1): guard conditions.popLast() != nil else { throw Failure(line: line) }
                default: throw Failure(line: line)
                }
            } else if conditions.allSatisfy(\.self) {
                output.append(try substituted(line))
            }
        }
        guard conditions.isEmpty else { throw Failure(line: "a condition has no end") }
        return output.joined(separator: "\n")
    }

    private func value(_ word: String, _ line: String) throws -> Any {
        guard word.hasPrefix(".Values."), let value = values[String(word.dropFirst(".Values.".count))] else {
            throw Failure(line: line)
        }
        return value
    }

    private func condition(_ word: String, _ line: String) throws -> Bool {
        guard let flag = try value(word, line) as? Bool else { throw Failure(line: line) }
        return flag
    }

    private func substituted(_ line: String) throws -> String {
        var parts = line.components(separatedBy: "{{ ")
        var result = parts.removeFirst()
        for part in parts {
            let halves = part.components(separatedBy: " }}")
            guard halves.count == 2 else { throw Failure(line: line) }
            let words = halves[0].split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("quote", 2):
                let text = "\(try value(words[1], line))"
                guard !text.contains(where: { "\"\\\n".contains($0) }) else { throw Failure(line: line) }
                result += "\"\(text)\""
            case (_, 1): result += "\(try value(words[0], line))"
            default: throw Failure(line: line)
            }
            result += halves[1]
        }
        // Braces that close nothing are text to Helm too.
        guard !result.contains("{{") else { throw Failure(line: line) }
        return result
    }
}
