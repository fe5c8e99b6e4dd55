import Foundation
import VXAgent
import VXControlSocket

/// What `vxseal status` says of the agent that leads a packet process.
struct OverlayLines {
    let text: String

    /// Asks the agent; nil for a node that has none.
    init?(beside adminSocket: String) async {
        let socket = Agent.socket(beside: adminSocket)
        guard FileManager.default.fileExists(atPath: socket) else { return nil }
        if let reply = try? await AdminClient(socket: socket).agent() {
            self.init(reply)
        } else {
            self.init(text: "directory:\n  the agent does not answer on \(socket): peers stay as they are")
        }
    }

    private init(text: String) { self.text = text }

    init(_ reply: AgentReply) {
        var lines = ["directory: \(reply.directory)"]
        lines.append(
            reply.isReachable
                ? "  answers, for \(Terminal.span(reply.sinceSeconds))"
                : "  DOES NOT ANSWER, for \(Terminal.span(reply.sinceSeconds)): \(reply.problem ?? "")"
        )
        lines.append("  subnets: \(reply.subnets.joined(separator: ", ")); seal \(reply.seal), trust \(reply.trust)")
        let plain = reply.nodes.count { $0.speaks == "plaintext" }
        lines.append("  nodes: \(reply.nodes.count - plain) sealed, \(plain) plaintext, \(reply.refused.count) refused")
        if reply.refused.contains(where: \.isSuspicious) {
            lines.append("    SUSPICIOUS entries are among these; see: vxseal migrate status")
        }
        if reply.repairs > 0 { lines.append("  routes and neighbours set again: \(reply.repairs)") }
        lines += reply.faults.map { "  FAULT: \($0)" }
        self.init(text: lines.joined(separator: "\n"))
    }
}
