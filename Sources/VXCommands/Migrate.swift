import ArgumentParser
import Foundation
import VXAgent
import VXControlSocket

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "How far a cluster is on its way from plaintext to sealed.",
        subcommands: [MigrationStatus.self],
        defaultSubcommand: MigrationStatus.self
    )
}

struct MigrationStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show which nodes are sealed, how many pairs of nodes that makes, and what is missing."
    )

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let reply = try await asking { try await options.agent().agent() }
        if options.json { return print(try Terminal.json(reply)) }
        print(MigrationReport(reply).text)
    }
}

/// The words of `vxseal migrate status`.
struct MigrationReport {
    private let reply: AgentReply

    init(_ reply: AgentReply) { self.reply = reply }

    /// Nodes that can be reached sealed, this one among them.
    var sealedNodes: Int { reply.nodes.count { $0.speaks != "plaintext" } + (reply.seal == "off" ? 0 : 1) }

    private static func pairs(of nodes: Int) -> Int { nodes * (nodes - 1) / 2 }

    var text: String {
        var lines = [
            "node \(reply.node): seal \(reply.seal), trust \(reply.trust), \(reply.subnets.joined(separator: ", ")) on "
                + "\(reply.device) (MTU \(reply.mtu))"
        ]
        lines.append(
            reply.isReachable
                ? "directory \(reply.directory): answers"
                : "directory \(reply.directory): does not answer, for \(Int(reply.sinceSeconds)) s: \(reply.problem ?? "")"
        )
        let all = reply.nodes.count + 1
        lines.append(
            "sealed: \(sealedNodes) of \(all) nodes, \(Self.pairs(of: sealedNodes)) of \(Self.pairs(of: all)) pairs"
        )
        if !reply.nodes.isEmpty {
            lines += ["", row("NODE", "SPEAKS", "SUBNETS", "ADDRESSES")]
            lines += reply.nodes.map { node in
                row(
                    node.name,
                    node.speaks == "sealedOnly" ? "sealed only" : node.speaks,
                    node.subnets.joined(separator: ","),
                    node.addresses.joined(separator: ",")
                )
            }
        }
        if !reply.refused.isEmpty {
            lines += ["", "entries of the directory that are no peers:"]
            lines += reply.refused.map {
                "  \($0.isSuspicious ? "!" : " ") \($0.id): \($0.reason)\($0.isKept ? "; what it said before still holds" : "")"
            }
        }
        if !reply.faults.isEmpty { lines += ["", "wrong on this node:"] + reply.faults.map { "  ! \($0)" } }
        lines += ["", next]
        return lines.joined(separator: "\n")
    }

    /// What to do.
    private var next: String {
        let plain = reply.nodes.filter { $0.speaks == "plaintext" }.map(\.name)
        let hidden = reply.refused.count { $0.reason.contains("not sealed") }
        switch reply.seal {
        case "off": return "next: write `seal: prefer` on every node, one after the other"
        case "prefer" where !plain.isEmpty:
            return "next: run vxseal with `seal: prefer` on \(plain.prefix(5).joined(separator: ", "))"
                + (plain.count > 5 ? " and \(plain.count - 5) more" : "")
        case "prefer": return "next: all nodes are sealed; write `seal: require` on every node to close the door"
        default:
            return hidden > 0 ? "next: \(hidden) nodes are not sealed, and not reached" : "done: everything is sealed"
        }
    }

    private func row(_ name: String, _ speaks: String, _ subnets: String, _ addresses: String) -> String {
        let width = max(4, reply.nodes.map(\.name.count).max() ?? 0)
        let subnetWidth = max(7, reply.nodes.map { $0.subnets.joined(separator: ",").count }.max() ?? 0)
        return [
            name.padding(toLength: width, withPad: " ", startingAt: 0),
            speaks.padding(toLength: 11, withPad: " ", startingAt: 0),
            subnets.padding(toLength: subnetWidth, withPad: " ", startingAt: 0), addresses,
        ].joined(separator: "  ")
    }
}

extension SocketOptions {
    /// The agent of the daemon that other commands talk to, or the one whose socket is named.
    func agent() throws -> AdminClient { AdminClient(socket: try Self.agentSocket(socket)) }

    private static func agentSocket(_ named: String?) throws -> String {
        if let named = named ?? ProcessInfo.processInfo.environment["VXSEAL_SOCKET"], !named.isEmpty {
            return named.hasSuffix(".agent") ? named : Agent.socket(beside: named)
        }
        let directory = "/run/vxseal"
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter {
            $0.hasSuffix(".agent")
        }.sorted()
        if names.count == 1 { return "\(directory)/\(names[0])" }
        if names.isEmpty {
            throw CommandFailure(
                "error: no agent's socket in \(directory); start one with: vxseal agent -c FILE, or name it with --socket"
            )
        }
        let list = names.map { "  --socket \(directory)/\($0)" }.joined(separator: "\n")
        throw CommandFailure("error: several agents run here; name one of them:\n\(list)")
    }
}
