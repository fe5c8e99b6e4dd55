import ArgumentParser
import VXControlSocket

struct Reload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take the changed configuration file into use, without losing a frame of what did not change.",
        discussion: """
            The daemon reads the file that it was started with again. Networks, peers and their settings come, change and go \
            while traffic flows; peers that did not change keep their sessions. What changed is printed, a line each: \
            + is new, - is gone, ~ is another.

            A file with a mistake is refused whole, and what ran goes on: every problem is printed, exit code 78. So is a \
            change that a running daemon cannot make, such as of listen, lanes or cipher: exit code 1. To look at a file \
            first: vxseal check -c FILE. SIGHUP does the same, and tells the log.
            """
    )

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let client = try options.client()
        let reply = try await asking { try await client.reload() }
        if options.json {
            print(try Terminal.json(reply))
        } else if reply.isApplied {
            Terminal.say(reply.changes.isEmpty ? "nothing changed" : reply.changes.joined(separator: "\n"))
        }
        let complaints = reply.problems.map { "error: \($0)" } + reply.warnings.map { "error: applied, but \($0)" }
        guard complaints.isEmpty else {
            let code = reply.isBadConfiguration ? CommandFailure.badConfiguration : 1
            throw CommandFailure(complaints.joined(separator: "\n"), code: code)
        }
    }
}
