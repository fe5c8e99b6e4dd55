import Foundation
import VXCrypto
import VXWire
import Yams

/// Reads a configuration file: everything that is wrong with it at once, or a value that nothing is wrong with.
public struct ConfigurationLoader: Sendable {
    /// Accept the keys of `keys-example/`.
    public var allowExampleKeys = false
    /// Accept a state directory that a reboot empties.
    public var allowVolatileState = false
    /// The node's name, in place of the file's.
    public var nodeName: String?
    /// Makes the private key's file where it is not there yet; nil for a node that must have one.
    public var makeMissingKey: (@Sendable (_ path: String) throws -> Void)?
    /// Accept key files that others may read; for who looks at their modes itself.
    package var allowLooseKeyFiles = false

    private static let largestFile = 4 << 20

    /// With nothing allowed that is not by default.
    public init() {}

    /// Loads a file.
    /// - Throws: all its problems, by line.
    public func load(path: String) throws(ConfigurationProblems) -> NodeConfiguration {
        try load(path) { $0.read($1) }
    }

    /// Loads an agent's file.
    /// - Throws: all its problems, by line.
    public func loadAgent(path: String) throws(ConfigurationProblems) -> AgentConfiguration {
        try load(path) { $0.readAgent($1) }
    }

    private func load<Configuration>(
        _ path: String,
        _ body: (NodeReader, MappingReader) -> Configuration?
    ) throws(ConfigurationProblems) -> Configuration {
        let problems = ProblemList(file: path)
        let configuration = read(path, problems, body)
        guard problems.problems.isEmpty, let configuration else {
            throw ConfigurationProblems(problems: problems.problems.sorted { ($0.line, $0.what) < ($1.line, $1.what) })
        }
        return configuration
    }

    private func read<Configuration>(
        _ path: String,
        _ problems: ProblemList,
        _ body: (NodeReader, MappingReader) -> Configuration?
    ) -> Configuration? {
        guard let data = FileManager.default.contents(atPath: path) else {
            problems.add(line: 0, "the file cannot be read", "check the path and its mode")
            return nil
        }
        guard data.count <= Self.largestFile, let text = String(data: data, encoding: .utf8) else {
            problems.add(line: 0, "the file is no UTF-8 text of at most 4 MiB", "name the right file")
            return nil
        }
        let root: Node?
        do {
            // Without guesses at what a value is, which the reader knows: they take a quarter of the time.
            root = try Yams.compose(yaml: text, .basic)
        } catch let error as YamlError {
            problems.add(line: Self.line(of: error), "no valid YAML: \(Self.text(of: error))", "mend the syntax there")
            return nil
        } catch {
            problems.add(line: 0, "no valid YAML: \(error)", "mend the syntax")
            return nil
        }
        guard let root, let reader = MappingReader(root, path: "", problems: problems) else {
            if root == nil { problems.add(line: 0, "the file is empty", "start from an example in Configs/") }
            return nil
        }
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        return body(NodeReader(loader: self, problems: problems, directory: directory), reader)
    }

    private static func line(of error: YamlError) -> Int {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
        case .duplicatedKeysInMapping(_, let context): context.mark.line
        default: 0
        }
    }

    private static func text(of error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _): problem
        case .duplicatedKeysInMapping(let keys, _):
            "the key \(keys.map { "`\($0)`" }.joined(separator: ", ")) stands twice"
        default: "\(error)"
        }
    }
}
