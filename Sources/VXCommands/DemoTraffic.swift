import ArgumentParser
import Foundation
import VXLinux
import VXWire

/// The demonstration's own traffic, run inside the overlay. Hidden: it is no tool for users.
struct DemoTraffic: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-traffic",
        abstract: "Traffic of the demonstration.",
        shouldDisplay: false,
        subcommands: [Send.self, Receive.self, Watch.self]
    )

    /// Sends numbered datagrams at a steady rate.
    struct Send: ParsableCommand {
        @Argument var target: String
        @Argument var count: Int
        @Argument var perSecond: Int

        func run() throws {
            guard let endpoint = Endpoint(target) else {
                throw CommandFailure("error: no endpoint: \(target)", code: 2)
            }
            var options = UDPSocketOptions()
            options.fragmentation = true
            let any = Endpoint(address: .v4(IPv4Address(0)), port: 0)
            let socket = try UDPSocket(bind: any, options: options)
            let start = Clocks.monotonic()
            for number in 0..<count {
                // Every datagram has its moment; a late sender catches up in a burst.
                let due = start + Interval(nanoseconds: UInt64(number) * 1_000_000_000 / UInt64(perSecond))
                while Clocks.monotonic() < due { usleep(200) }
                let head = (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
                _ = socket.send(head + [UInt8](repeating: 0x2e, count: 992), to: endpoint)
            }
            print(count)
        }
    }

    /// Counts numbered datagrams until none has come for two seconds: received, duplicates, out of order.
    struct Receive: ParsableCommand {
        @Argument var port: UInt16

        func run() throws {
            let any = Endpoint(address: .v4(IPv4Address(0)), port: port)
            let socket = try UDPSocket(bind: any, options: UDPSocketOptions())
            let events = try EventLoop()
            try events.add(socket.descriptor, token: 1)
            var ready = EventLoop.ReadyList(capacity: 1)
            var seen: Set<UInt64> = []
            var (duplicates, disordered, last) = (0, 0, UInt64(0))
            Terminal.say("ready")
            while true {
                // The first datagram may take as long as the sender needs to start.
                events.wait(into: &ready, timeoutMilliseconds: seen.isEmpty ? 20_000 : 2_000)
                guard ready.count > 0 else { break }
                while let (bytes, _) = socket.receive(limit: 2048) {
                    let number = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                    if !seen.insert(number).inserted { duplicates += 1 }
                    if number < last { disordered += 1 }
                    last = max(last, number)
                }
            }
            print("\(seen.count) \(duplicates) \(disordered)")
        }
    }

    /// Counts the datagrams of the underlay and the marked ones among them, until SIGTERM.
    struct Watch: ParsableCommand {
        @Argument var marker: String

        func run() throws {
            var counter = try PacketCounter(marker: Array(marker.utf8))
            Terminal.say("ready")
            while let line = readLine(), line == "count" {
                counter.drain()
                for (port, count) in counter.counts { Terminal.say("\(port) \(count.datagrams) \(count.marked)") }
                Terminal.say("done")
            }
        }
    }
}
