import ArgumentParser
import Foundation
import VXControlSocket

struct Trace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain what would become of a frame, without sending it.",
        discussion: """
            Goes through this node's decisions for a frame of the own device: network, station, forwarding database, peer and its \
            session, outer header, what of it fits the path, and whether what comes back would be taken. The exit code is 0 when \
            somebody would get the frame. With --send each peer that would get it is asked, over its session, what it would do \
            with it: it goes through its own decisions, and neither passes the frame on nor learns from it.
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

    @Flag(help: "Ask the peers that would get the frame what they would do with it.")
    var send = false

    @Option(help: "Of the frame that is asked about: icmp, tcp or udp.")
    var `protocol`: TraceProtocol?

    @Option(help: "Its destination port.")
    var port: UInt16?

    func validate() throws {
        if !send, port != nil || `protocol` != nil {
            throw ValidationError("--port and --protocol are for the frame that --send asks about")
        }
        if port != nil, `protocol` == .icmp { throw ValidationError("ICMP has no ports") }
        if let size, !(1...65_535).contains(size) { throw ValidationError("--size is 1 to 65535") }
    }

    func run() async throws {
        let client = try options.client()
        var request = TraceRequest(source: source, destination: destination, vni: vni, size: size)
        request.sends = send
        request.port = port
        request.ipProtocol = `protocol`?.number
        let reply = try await asking { try await client.trace(request) }
        print(options.json ? try Terminal.json(reply) : text(reply))
        let isTaken = reply.probes.isEmpty || reply.probes.contains { ["device", "relayed"].contains($0.fate) }
        if reply.outcome == .dropped || !isTaken { throw ExitCode(1) }
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

/// IP protocols by name.
enum TraceProtocol: String, ExpressibleByArgument, CaseIterable {
    case icmp, tcp, udp

    /// Nil for ICMP, which has one number in IPv4 and another in IPv6.
    var number: UInt8? {
        switch self {
        case .icmp: nil
        case .tcp: 6
        case .udp: 17
        }
    }
}
