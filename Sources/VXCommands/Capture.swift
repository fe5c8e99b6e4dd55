import ArgumentParser
import Dispatch
import Foundation
import VXControlSocket

struct Capture: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Capture decrypted frames, or the datagrams that carry them, as pcapng.",
        discussion: """
            Shows what passes through a running daemon to Wireshark and its like:

              vxseal capture -w - | tshark -r -
              vxseal capture --peer node-b --port 443 -w web.pcapng
              vxseal capture --inner --outer --dropped -w drops.pcapng

            Every packet has a comment: peer, VNI, lane, direction, the number of the key pair (epoch), and for one that was \
            dropped the reason, as `vxseal status` names it. A super-frame, which stands for many segments, is shown whole, \
            with the segments' size.

            --mac, --ip, --port and --vni choose inner frames; outer datagrams are chosen by --peer and --direction, for what \
            they hold is sealed. What a slow reader does not take in time is lost to the capture, never to the traffic, and \
            counted in the file's statistics. The file holds what the network is meant to hide: it is its owner's alone.
            """
    )

    @Option(help: "The daemon's admin socket.")
    var socket: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("The file, or - for stdout.", valueName: "file"))
    var write: String?

    @Flag(help: "Frames of the networks, as stations see them (default).")
    var inner = false

    @Flag(help: "Datagrams of the underlay; with --inner both.")
    var outer = false

    @Option(help: "Only this peer's packets.")
    var peer: String?

    @Option(help: "Only frames of this network.")
    var vni: UInt32?

    @Option(help: "Only packets from peers (in), or to peers (out).")
    var direction: Direction?

    @Option(help: "Only frames from or to this station.")
    var mac: String?

    @Option(help: "Only frames from or to this address, ARP included.")
    var ip: String?

    @Option(help: "Only TCP segments and UDP datagrams from or to this port.")
    var port: UInt16?

    @Flag(help: "Only what is dropped, each with the reason.")
    var dropped = false

    @Flag(help: "What is dropped beside what is passed on.")
    var withDropped = false

    @Option(help: "Keep so many bytes of each packet.")
    var snap: Int?

    @Option(help: "End after so many packets.")
    var count: Int?

    @Option(help: ArgumentHelp("Begin another file before one grows beyond this (10M, 512k).", valueName: "bytes"))
    var ringSize: ByteCount?

    @Option(help: "Keep the last so many files.")
    var ringFiles: Int?

    enum Direction: String, ExpressibleByArgument {
        case `in`, out
    }

    func validate() throws {
        if !inner, outer, vni != nil || mac != nil || ip != nil || port != nil {
            throw ValidationError(
                "--vni, --mac, --ip and --port choose inner frames, and what outer datagrams hold is sealed; "
                    + "leave them out, or add --inner"
            )
        }
        if dropped, withDropped { throw ValidationError("--dropped and --with-dropped exclude each other") }
        for (name, value) in [("--snap", snap), ("--count", count), ("--ring-files", ringFiles)] {
            if let value, value < 1 { throw ValidationError("\(name) is a whole number from 1 up, not \(value)") }
        }
        if (ringSize == nil) != (ringFiles == nil) {
            throw ValidationError("--ring-size and --ring-files belong together")
        }
        if ringSize != nil, write == nil || write == "-" {
            throw ValidationError("a ring of files needs a name for them: -w FILE")
        }
        if let ringSize, ringSize.bytes < CaptureOutput.leastFile {
            throw ValidationError("a file of a ring has at least \(CaptureOutput.leastFile) bytes")
        }
        if write == nil || write == "-", isatty(STDOUT_FILENO) == 1 {
            throw ValidationError(
                "pcapng is not for reading; name a file with -w FILE, or: vxseal capture -w - | tshark -r -"
            )
        }
    }

    private var request: CaptureRequest {
        var request = CaptureRequest(inner: inner || !outer, outer: outer)
        request.peer = peer
        request.vni = vni
        request.direction = direction?.rawValue
        request.mac = mac
        request.ip = ip
        request.port = port
        request.drops = dropped ? "only" : withDropped ? "included" : nil
        request.snap = snap
        return request
    }

    func run() async throws {
        let client = try SocketOptions.client(socket: socket)
        signal(SIGPIPE, SIG_IGN)
        let recording = Task { try await record(from: client) }
        // In good order at the first signal; a second one ends the process.
        let sources = onEndBySignal { number in
            signal(number, SIG_DFL)
            recording.cancel()
        }
        defer { for source in sources { source.cancel() } }
        try await recording.value
    }

    /// Why a capture has ended before its time, which is no fault.
    private enum End: Error {
        case enough
        case readerGone
    }

    private func record(from client: AdminClient) async throws {
        var output = CaptureOutput(
            path: write ?? "-",
            ring: ringSize.flatMap { size in ringFiles.map { CaptureOutput.Ring(size: size.bytes, files: $0) } }
        )
        var blocks = PcapngBlocks()
        var failure: String?
        do {
            try await client.capture(request) { piece in
                blocks.append(piece)
                while let block = try blocks.takeNext() {
                    let isFirst = block.kind == PcapngBlock.Kind.section
                    try output.take(block)
                    if isFirst { Terminal.complain("capturing \(request.summary); end it with Ctrl-C") }
                    if let count, output.packets >= count {
                        try output.flush()
                        throw End.enough
                    }
                }
                try output.flush()
                if output.isReaderGone { throw End.readerGone }
            }
            failure = "the daemon has ended"
        } catch is CancellationError {
        } catch is End {
        } catch let gone as CaptureOutput.ReaderGone {
            _ = gone
        } catch let gone as AdminClient.Failure {
            guard output.hasBegun else { throw CommandFailure("error: \(gone)") }
            failure = gone.description
        }
        try? output.finish()
        let captured = "\(output.packets) packet\(output.packets == 1 ? "" : "s") captured"
        let lost = output.lost == 0 ? "none lost" : "\(output.lost) lost, which were not read in time"
        let summary = "\(captured), \(lost)"
        if let failure { throw CommandFailure("error: \(failure), and so the capture ends: \(summary)") }
        Terminal.complain(summary)
    }
}

/// A number of bytes as people write it: 4096, 512k, 10M, 1G, in powers of 1024.
struct ByteCount: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        let units: [Character: Int] = ["k": 10, "K": 10, "M": 20, "G": 30]
        let shift = argument.last.flatMap { units[$0] }
        guard let number = Int(shift == nil ? argument[...] : argument.dropLast()), number > 0,
            number <= Int.max >> (shift ?? 0)
        else { return nil }
        bytes = number << (shift ?? 0)
    }
}
