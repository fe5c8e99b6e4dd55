import ArgumentParser
import Foundation
import VXControlSocket

struct Ping: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a peer for echoes over its session.",
        discussion: """
            Each request is sealed, passes both daemons, and comes back sealed; no device and no station takes part. Ends after \
            --count requests or at an interrupt (Ctrl-C), with a summary: how many were lost on the way there and back, the \
            round trips, and what the path carries. The exit code is 0 when an answer came.
            """
    )

    @OptionGroup var options: SocketOptions

    @Argument(help: "The peer's name.")
    var peer: String

    @Option(name: .shortAndLong, help: "How many requests; without it, until interrupted.")
    var count: Int?

    @Option(name: .shortAndLong, help: "Seconds between requests.")
    var interval = 1.0

    @Option(name: .shortAndLong, help: "Bytes that go along, 0 to \(PingRequest.mostPadding).")
    var size = 56

    @Option(name: .shortAndLong, help: "Seconds until a request counts as lost.")
    var timeout = 2.0

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count is 1 or more") }
        guard interval >= 0.002 else { throw ValidationError("--interval is 0.002 or more") }
        guard (0...PingRequest.mostPadding).contains(size) else {
            throw ValidationError("--size is 0 to \(PingRequest.mostPadding)")
        }
        guard (0.001...10).contains(timeout) else { throw ValidationError("--timeout is 0.001 to 10") }
    }

    func run() async throws {
        let client = try options.client()
        let before = try await self.status(client)
        if !options.json {
            let path = before.pathMTU.map { ", path MTU \($0)" } ?? ""
            Terminal.say("PING \(peer) (\(before.endpoint ?? "no endpoint")): \(size) bytes in the session\(path)")
        }
        var tally = PingTally()
        for try await (number, reply) in try replies(from: client) {
            tally.note(reply)
            if !options.json { Terminal.say(Self.line(number, reply)) }
        }
        let after = try await self.status(client)
        let summary = PingSummary(tally, peer: peer, before: before, after: after)
        print(options.json ? try Terminal.json(summary) : "\n" + summary.text)
        guard summary.answered > 0 else { throw ExitCode(1) }
    }

    private func status(_ client: AdminClient) async throws -> PeerStatus {
        let status = try await asking { try await client.status() }
        guard let status = status.peers.first(where: { $0.name == peer }) else {
            throw CommandFailure("error: no peer has the name \(peer); see them with: vxseal peers")
        }
        return status
    }

    /// One reply a request, in the order that they come; ends after the last or at an interrupt.
    private func replies(from client: AdminClient) throws -> AsyncThrowingStream<(Int, PingReply), any Error> {
        let request = PingRequest(peer: peer, padding: size, timeoutMilliseconds: max(1, Int(timeout * 1000)))
        let (stream, continuation) = AsyncThrowingStream<(Int, PingReply), any Error>.makeStream()
        let asker = Task {
            do {
                try await withThrowingDiscardingTaskGroup { group in
                    let start = ContinuousClock.now
                    for number in 1...(count ?? .max) {
                        try await Task.sleep(until: start + .seconds(interval * Double(number - 1)))
                        group.addTask {
                            let reply = try await asking { try await client.ping(request) }
                            continuation.yield((number, reply))
                        }
                    }
                }
                continuation.finish()
            } catch {
                // However the requests under way end when they are interrupted.
                continuation.finish(throwing: Task.isCancelled ? nil : error)
            }
        }
        let interrupt = onInterrupt { asker.cancel() }
        continuation.onTermination = { _ in interrupt.cancel() }
        return stream
    }

    private static func line(_ number: Int, _ reply: PingReply) -> String {
        switch (reply.outcome, reply.roundTripMicroseconds) {
        case ("answered", let time?): "answer \(number): \(Terminal.milliseconds(time))"
        case ("noSession", _): "request \(number): no session with it; see: vxseal status"
        default: "request \(number): no answer"
        }
    }
}

/// What came of the requests so far.
struct PingTally {
    private(set) var sent = 0
    private(set) var roundTrips: [Double] = []

    mutating func note(_ reply: PingReply) {
        // Without a session nothing left.
        if reply.outcome != "noSession" { sent += 1 }
        if let time = reply.roundTripMicroseconds { roundTrips.append(time) }
    }
}

/// What `vxseal ping --json` prints; schema `vxseal.ping/1`.
struct PingSummary: Encodable {
    /// The schema's name and number.
    let schema = "vxseal.ping/1"
    /// The peer's name.
    let peer: String
    /// Requests that left.
    let sent: Int
    /// Those whose answer came in time.
    let answered: Int
    /// What the session's counters miss on the way to the peer.
    let lostThere: Int
    /// What they miss on the way back.
    let lostBack: Int
    /// The shortest round trip; absent, as all that follow, without an answer.
    let minMicroseconds: Double?
    /// Their mean.
    let averageMicroseconds: Double?
    /// Half of them were shorter.
    let medianMicroseconds: Double?
    /// 99 of 100 were no longer.
    let p99Microseconds: Double?
    /// The longest.
    let maxMicroseconds: Double?
    /// Bytes of IP packet that the path carries; absent until it is discovered.
    let pathMTU: Int?

    init(_ tally: PingTally, peer: String, before: PeerStatus, after: PeerStatus) {
        self.peer = peer
        sent = tally.sent
        answered = tally.roundTrips.count
        let missing = sent - answered
        // What the peer sealed and did not arrive here is known exactly; what else is missing was lost on the way there.
        let back = after.lost.received > before.lost.received ? Int(after.lost.received - before.lost.received) : 0
        lostBack = min(missing, back)
        lostThere = missing - lostBack
        let sorted = tally.roundTrips.sorted()
        func rank(_ percent: Int) -> Double? {
            sorted.isEmpty ? nil : sorted[(sorted.count * percent + 99) / 100 - 1]
        }
        minMicroseconds = sorted.first
        averageMicroseconds = sorted.isEmpty ? nil : sorted.reduce(0, +) / Double(sorted.count)
        medianMicroseconds = rank(50)
        p99Microseconds = rank(99)
        maxMicroseconds = sorted.last
        pathMTU = after.pathMTU
    }

    var text: String {
        let percent = sent == 0 ? "" : String(format: " (%.1f %%)", 100 * Double(sent - answered) / Double(sent))
        var lines = [
            "\(peer): \(sent) sent, \(answered) answered, lost \(sent - answered)\(percent): \(lostThere) there, \(lostBack) back"
        ]
        if let minMicroseconds, let averageMicroseconds, let medianMicroseconds, let p99Microseconds,
            let maxMicroseconds
        {
            let times = [minMicroseconds, averageMicroseconds, medianMicroseconds, p99Microseconds, maxMicroseconds]
            lines.append(
                "round trip min/avg/median/p99/max: \(times.map { String(format: "%.2f", $0 / 1000) }.joined(separator: "/")) ms"
            )
        }
        if let pathMTU { lines.append("path MTU \(pathMTU)") }
        return lines.joined(separator: "\n")
    }
}
