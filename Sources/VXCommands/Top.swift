import ArgumentParser
import Foundation
import VXControlSocket

struct Top: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch peers, networks, drops and lanes live.",
        discussion: """
            Keys: q quits; tab, arrows or 1 to 4 turn to another page; s sorts by the next column, r reverses; / filters (enter \
            keeps the filter, escape removes it); up, down, page up and page down scroll. Where the output is no terminal, one \
            look at the peers is printed, after a second in which rates are measured.
            """
    )

    @OptionGroup var options: SocketOptions

    @Option(name: .shortAndLong, help: "Seconds between looks.")
    var interval = 1.0

    func validate() throws {
        guard interval >= 0.1 else { throw ValidationError("--interval is 0.1 or more") }
    }

    /// What the screen reacts to.
    private enum Event: Sendable {
        case keys([TerminalKey])
        case tick
        case answered(StatusReply)
        case failed(String)
        case closed
    }

    func run() async throws {
        let client = try options.client()
        let first = try await asking { try await client.status() }
        // A closed terminal is told by write(2).
        signal(SIGPIPE, SIG_IGN)
        guard !options.json, let terminal = TerminalScreen() else { return try await printOnce(first, client) }
        defer { terminal.restore() }
        var screen = TopScreen(palette: .output)
        screen.take(first, at: Self.seconds)
        var size = TerminalScreen.size
        guard terminal.show(screen.lines(width: size.width, height: size.height)) else { return }
        for await event in events(client) {
            switch event {
            case .keys(let keys): for key in keys { guard screen.press(key) else { return } }
            case .tick:
                guard TerminalScreen.size != size else { continue }
            case .answered(let status): screen.take(status, at: Self.seconds)
            case .failed(let text): screen.complaint = text
            case .closed: return
            }
            size = TerminalScreen.size
            guard terminal.show(screen.lines(width: size.width, height: size.height)) else { return }
        }
    }

    private static var seconds: Double { ProcessInfo.processInfo.systemUptime }

    /// Keys, answers and signals, as they come. Ends when nobody listens any more.
    private func events(_ client: AdminClient) -> AsyncStream<Event> {
        let (stream, continuation) = AsyncStream<Event>.makeStream(bufferingPolicy: .bufferingNewest(64))
        let asker = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(interval))
                do { continuation.yield(.answered(try await client.status())) } catch {
                    continuation.yield(.failed("\(error)"))
                }
            }
        }
        let interrupt = onInterrupt { continuation.yield(.closed) }
        // Reading blocks, which a thread of the concurrency pool must not.
        Thread.detachNewThread {
            while true {
                let event: Event =
                    switch TerminalScreen.read(milliseconds: 200) {
                    case .keys(let keys): .keys(keys)
                    case .quiet: .tick
                    case .closed: .closed
                    }
                if case .terminated = continuation.yield(event) { return }
                if case .closed = event { return }
            }
        }
        continuation.onTermination = { _ in
            asker.cancel()
            interrupt.cancel()
        }
        return stream
    }

    private func printOnce(_ first: StatusReply, _ client: AdminClient) async throws {
        var screen = TopScreen(palette: Palette(isStyled: false, isColoured: false))
        screen.take(first, at: Self.seconds)
        try await Task.sleep(for: .seconds(interval))
        let status = try await asking { try await client.status() }
        screen.take(status, at: Self.seconds)
        if options.json { return print(try Terminal.json(status)) }
        let columns = ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) } ?? 80
        print(screen.snapshot(width: columns).joined(separator: "\n"))
    }
}
