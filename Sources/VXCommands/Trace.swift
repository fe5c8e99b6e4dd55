import ArgumentParser
import Foundation
import VXControlSocket

struct Trace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain what would become of a frame, without sending it.",
        discussion: """
            Goes through this node's decisions for a frame of the own device: network, station, forwarding database, peer and its \
            session, outer header, what of it fits the path, and whether what comes back would be taken. The exit code is 0 when \
            somebody would get the frame.
            """
    )

    @OptionGroup var options: SocketOptions

    @Argument(help: "Where the frame comes from: an inner IP address, or a MAC address.")
    var source: String

    @Argument(help: "Where it goes: an inner IP address, or a MAC address.")
    var destination: String

    @Option(help: "The network; needed where the addresses do not tell it.")
    var vni: UInt32?

    @Option(name: .shortAndLong, help: "Bytes of the IP packet.")
    var size: Int?

    func validate() throws {
        if let size, !(1...65_535).contains(size) { throw ValidationError("--size is 1 to 65535") }
    }

    func run() async throws {
        let client = try options.client()
        let request = TraceRequest(source: source, destination: destination, vni: vni, size: size)
        let reply = try await asking { try await client.trace(request) }
        print(options.json ? try Terminal.json(reply) : text(reply))
        if reply.outcome == .dropped { throw ExitCode(1) }
    }

    private func text(_ reply: TraceReply) -> String {
        let indent = 10
        let lines = reply.steps.map { step in
            step.stage.padding(toLength: indent, withPad: " ", startingAt: 0)
                + Terminal.wrap(step.text, indent: indent, width: 80)
        }
        let end =
            switch reply.outcome {
            case .sent: "sent to \(reply.peers.joined(separator: ", "))"
            case .flooded: "flooded to \(reply.peers.joined(separator: ", "))"
            case .local: "stays on this node's own device"
            case .dropped: "dropped: \(reply.reason ?? "nobody to send it to")"
            }
        return (["\(source) -> \(destination)"] + lines + ["=> \(end)"]).joined(separator: "\n")
    }
}
