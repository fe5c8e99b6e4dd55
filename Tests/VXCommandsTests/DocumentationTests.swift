import ArgumentParser
import Foundation
import Testing

@testable import VXCommands

/// The commands that README and the pages show are commands that the program takes.
@Suite struct DocumentationTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static var pages: [URL] {
        let folder = root.appendingPathComponent("Documentation")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return [root.appendingPathComponent("README.md")]
            + names.filter { $0.hasSuffix(".md") }.sorted().map(folder.appendingPathComponent)
    }

    /// The arguments of every `vxseal` that stands in an indented or fenced block at the start of a line, after a prompt or a pipe.
    private static func commands(in text: String) -> [[String]] {
        var isFenced = false
        var commands: [[String]] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") { isFenced.toggle() }
            guard isFenced || line.hasPrefix("    ") else { continue }
            for part in line.split(whereSeparator: { "|;&".contains($0) }) {
                var words = part.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
                while let first = words.first, ["$", "#", "sudo"].contains(first) { words.removeFirst() }
                guard words.first == "vxseal" else { continue }
                // What the shell takes: redirections and comments.
                words = Array(
                    words.dropFirst().prefix {
                        !$0.hasPrefix("#") && !$0.hasPrefix(">") && !$0.hasPrefix("<") && !$0.hasPrefix("2>")
                    }
                )
                commands.append(words.map { $0.trimmingCharacters(in: ["\"", "'"]) })
            }
        }
        return commands
    }

    @Test("every command that is shown parses", arguments: pages)
    func parses(page: URL) throws {
        for arguments in Self.commands(in: try String(contentsOf: page, encoding: .utf8)) {
            do {
                _ = try Root.parseAsRoot(arguments)
            } catch {
                Issue.record(
                    "\(page.lastPathComponent): vxseal \(arguments.joined(separator: " ")): \(Root.message(for: error))"
                )
            }
        }
    }

    @Test("the pages hold commands, or the search above finds none")
    func finds() throws {
        let all = try Self.pages.flatMap { Self.commands(in: try String(contentsOf: $0, encoding: .utf8)) }
        #expect(all.count > 20)
        #expect(all.contains(["rotate", "psk", "node-b", "--wait"]))
    }

    @Test("every page is in the list of pages, and every page that is named exists")
    func list() throws {
        let list = try String(contentsOf: Self.root.appendingPathComponent("Documentation/README.md"), encoding: .utf8)
        for page in Self.pages.dropFirst() where page.lastPathComponent != "README.md" {
            #expect(
                list.contains("(\(page.lastPathComponent))"),
                "\(page.lastPathComponent) is not in Documentation/README.md"
            )
        }
        for page in Self.pages {
            let text = try String(contentsOf: page, encoding: .utf8)
            for name in text.matches(of: /`(?:Documentation\/)?([a-z0-9-]+\.md)`|\]\(([a-z0-9-]+\.md)\)/).compactMap({
                $0.output.1 ?? $0.output.2
            }) {
                let exists = FileManager.default.fileExists(
                    atPath: Self.root.appendingPathComponent("Documentation/\(name)").path
                )
                #expect(exists, "\(page.lastPathComponent) names \(name), which does not exist")
            }
        }
    }
}
