import ArgumentParser
import Foundation
import VXControlSocket

struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rotate keys.",
        subcommands: [
            RotateSession.self, RotateIdentity.self, RotatePSK.self, RotateStatus.self, RotateAccept.self,
            RotateForget.self,
        ]
    )
}

struct RotateSession: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "Make new session keys now, with one peer or all."
    )

    @OptionGroup var options: SocketOptions

    @Argument(help: "The peer's name; all peers without it.")
    var peer: String?

    func run() async throws {
        let client = try options.client()
        let peer = peer
        let reply = try await asking { try await client.rotateSession(peer: peer) }
        if options.json { return print(try Terminal.json(reply)) }
        print("new session keys are being agreed with: \(reply.peers.joined(separator: ", "))")
    }
}

struct RotateIdentity: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identity",
        abstract: "Make a new long-term key, state it to every peer, and take it into use.",
        discussion: """
            Peers store the key before they acknowledge it, and are then called with it; frames flow on all the while. \
            The old key is answered to until every peer has switched, or the overlap is over. What --wait shows as lost \
            is what both ends have counted since the command; a peer reports every ten seconds, so it may hold what was \
            lost just before.
            """
    )

    @OptionGroup var options: SocketOptions

    @Option(help: "For how long the old key is answered to at most: 30m, 12h, 7d.")
    var overlap = Span(seconds: 7 * 86_400)

    @Flag(help: "Show each peer's progress, and end when all have switched and nothing was lost.")
    var wait = false

    func run() async throws {
        let client = try options.client()
        let seconds = overlap.seconds
        let reply = try await asking { try await client.rotateIdentity(overlapSeconds: seconds) }
        if wait { return try await RotationWatch(client: client, json: options.json).run() }
        if options.json { return print(try Terminal.json(reply)) }
        guard let open = reply.open else { return print("the identity has been rotated") }
        print("the rotation to \(open.newKey) is under way; see: vxseal rotate status")
    }
}

struct RotatePSK: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "psk",
        abstract: "Agree on a new preshared key with a peer, inside the session."
    )

    @OptionGroup var options: SocketOptions

    @Argument(help: "The peer's name.")
    var peer: String

    @Flag(help: "End when both sides use the new key and nothing was lost.")
    var wait = false

    func run() async throws {
        let client = try options.client()
        let peer = peer
        let reply = try await asking { try await client.rotatePSK(peer: peer) }
        if wait { return try await RotationWatch(client: client, json: options.json).run() }
        if options.json { return print(try Terminal.json(reply)) }
        print("a new preshared key is being agreed with \(peer); see: vxseal rotate status")
    }
}

struct RotateStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show where rotations stand.")

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let client = try options.client()
        let reply = try await asking { try await client.rotationStatus() }
        print(options.json ? try Terminal.json(reply) : Self.text(reply))
    }

    static func text(_ reply: RotationReply) -> String {
        var lines = ["identity: \(reply.publicKey)"]
        if let open = reply.open {
            let end = Date(timeIntervalSince1970: Double(open.endsAt)).formatted(.iso8601)
            lines.append("rotating to: \(open.newKey), old key answered to until \(end) at most")
        } else {
            lines.append("no rotation of this node's identity is open")
        }
        let rows = reply.peers.map { peer in
            [
                peer.name, String(peer.publicKey.prefix(8)), peer.pendingKey.map { String($0.prefix(8)) } ?? "-",
                peer.progress ?? "-",
                "\(peer.pskGeneration)\(peer.isRotatingPSK ? " (next under way)" : "")",
                peer.isContested ? "contested" : "ok",
            ]
        }
        lines += ["", Terminal.table(["PEER", "ITS KEY", "ITS NEXT", "OUR NEW KEY", "PSK", "STATE"], rows)]
        for peer in reply.peers { if let mend = peer.mend { lines.append("\(peer.name): \(mend)") } }
        return lines.joined(separator: "\n")
    }
}

struct RotateAccept: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accept",
        abstract: "Take a key for a peer's: it missed a rotation, or its or this node's state was lost."
    )

    @OptionGroup var options: SocketOptions

    @Argument(help: "The peer's name.")
    var peer: String

    @Argument(help: "Its public key, as `vxseal status` shows it there.")
    var key: String

    func run() async throws {
        let client = try options.client()
        let (peer, key) = (peer, key)
        let reply = try await asking { try await client.accept(key: key, peer: peer) }
        print(options.json ? try Terminal.json(reply) : RotateStatus.text(reply))
    }
}

struct RotateForget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Go back to what the configuration says of a peer: its key and its preshared key."
    )

    @OptionGroup var options: SocketOptions

    @Argument(help: "The peer's name.")
    var peer: String

    func run() async throws {
        let client = try options.client()
        let peer = peer
        let reply = try await asking { try await client.forget(peer: peer) }
        print(options.json ? try Terminal.json(reply) : RotateStatus.text(reply))
    }
}

/// A span of time as people write it.
struct Span: ExpressibleByArgument {
    let seconds: UInt64

    init(seconds: UInt64) { self.seconds = seconds }

    init?(argument: String) {
        let units: [Character: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = argument.last.flatMap({ units[$0] }), let count = UInt64(argument.dropLast()), count > 0,
            count <= 10_000
        else { return nil }
        seconds = count * unit
    }

    var defaultValueDescription: String { seconds % 86_400 == 0 ? "\(seconds / 86_400)d" : "\(seconds)s" }
}

/// Follows the rotation begun last to its end.
struct RotationWatch {
    let client: AdminClient
    let json: Bool

    private static let pause = Duration.milliseconds(200)
    /// Looks at a rotation that every peer has finished, until the key file must have been replaced.
    private static let patience = 50

    func run() async throws {
        var seen: [String: String] = [:]
        var looksAtEnd = 0
        while true {
            let client = client
            let reply = try await asking { try await client.rotationStatus() }
            let measured = reply.peers.compactMap { peer in peer.measured.map { (peer, $0) } }
            for (peer, measure) in measured {
                let stage = Self.stage(peer, measure, kind: reply.measuredKind)
                guard seen[peer.name] != stage else { continue }
                seen[peer.name] = stage
                if !json { Terminal.say("\(peer.name): \(stage)") }
            }
            let isOver = reply.measuredKind == "identity" && reply.open == nil
            if measured.allSatisfy({ $0.1.isSettled }) {
                looksAtEnd += 1
                if reply.measuredKind == "psk" || isOver || looksAtEnd == Self.patience { return try finish(reply) }
            }
            if isOver, measured.contains(where: { !$0.1.isFinished }) { return try finish(reply) }
            try await Task.sleep(for: Self.pause)
        }
    }

    private static func stage(_ peer: RotationReply.Peer, _ measure: RotationReply.Measured, kind: String?) -> String {
        if measure.isSettled { return "switched, and both ends have counted" }
        if measure.isFinished { return "switched; waiting for the last reports on the old session" }
        if kind == "psk" { return peer.isRotatingPSK ? "agreeing on a key" : "asked" }
        return peer.progress == "acknowledged" ? "has stored the new key" : "told of the new key"
    }

    private func finish(_ reply: RotationReply) throws {
        let rows = reply.peers.compactMap { peer in
            peer.measured.map { Self.row(peer, $0, reply) }
        }
        let isWhole = reply.peers.allSatisfy { peer in peer.measured.map { $0.isSettled && $0.lost == 0 } ?? true }
        if json {
            print(try Terminal.json(reply))
        } else {
            Terminal.say("\n" + Terminal.table(["PEER", "OLD", "NEW", "TIME", "FRAMES SENT", "LOST"], rows))
        }
        guard isWhole else {
            throw CommandFailure("error: not every peer switched without loss; see: vxseal rotate status")
        }
        guard reply.measuredKind == "psk" || reply.open == nil else {
            throw CommandFailure(
                "error: every peer uses the new key, but it could not take the old one's place in the key file; the "
                    + "daemon's log says why, and a restart tries again"
            )
        }
    }

    private static func row(
        _ peer: RotationReply.Peer,
        _ measure: RotationReply.Measured,
        _ reply: RotationReply
    ) -> [String] {
        let isPSK = reply.measuredKind == "psk"
        let newKey = reply.open?.newKey ?? reply.publicKey
        let old =
            isPSK ? "generation \(max(peer.pskGeneration, 1) - 1)" : String((reply.measuredOldKey ?? "-").prefix(8))
        let new = isPSK ? "generation \(peer.pskGeneration)" : String(newKey.prefix(8))
        return [
            peer.name, old, measure.isFinished ? new : "not switched",
            measure.isFinished ? String(format: "%.1f s", measure.seconds) : "-", String(measure.sentFrames),
            String(measure.lost),
        ]
    }
}
