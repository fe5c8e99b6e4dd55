import Foundation
import VXControlSocket

/// Where captured packets go: stdout, a file, or a ring of files. Every file is whole at every moment but for its last words,
/// the statistics of its interfaces.
struct CaptureOutput {
    /// Files of a size, of which the last so many are kept.
    struct Ring {
        let size: Int
        let files: Int
    }

    /// Whoever read stdout does so no more.
    struct ReaderGone: Error {}

    /// A header, interfaces, a large packet.
    static let leastFile = 128 << 10

    private let path: String
    private let ring: Ring?
    private var descriptor: Int32 = -1
    /// The paths of the ring's files, the oldest first.
    private var kept: [String] = []
    private var number = 0
    /// Section header and interfaces, with which each file begins.
    private var preamble: [UInt8] = []
    private var pending: [UInt8] = []
    /// Of the file, in bytes: written, and written or pending.
    private var written = 0
    private var size = 0
    private var interfaces = 0
    private var startedAt: UInt64 = 0
    /// By interface: packets in this file, packets lost since the capture began, and those when this file did.
    private var delivered: [UInt64] = []
    private var dropped: [UInt64] = []
    private var droppedBefore: [UInt64] = []
    /// Packets so far, in all files.
    private(set) var packets = 0

    /// Packets that were lost.
    var lost: UInt64 { dropped.reduce(0, +) }
    /// Whether the daemon has begun to answer.
    var hasBegun: Bool { !preamble.isEmpty }

    /// Nothing is opened before the first block comes.
    init(path: String, ring: Ring?) {
        self.path = path
        self.ring = ring
    }

    /// Takes a block of the daemon's answer; `flush` writes it.
    mutating func take(_ block: PcapngBlock) throws {
        switch block.kind {
        case PcapngBlock.Kind.section:
            preamble = Array(block.bytes)
            try begin()
        case PcapngBlock.Kind.interface:
            preamble += block.bytes
            append(block.bytes)
            interfaces += 1
            delivered.append(0)
            dropped.append(0)
            droppedBefore.append(0)
        case PcapngBlock.Kind.statistics:
            // What was lost by now is told at the end of the file.
            if let interface = block.interface, let lost = block.dropped, interface < interfaces {
                dropped[interface] = lost
            }
        case PcapngBlock.Kind.packet:
            if let ring, delivered.contains(where: { $0 > 0 }),
                size + block.bytes.count + statistics().count > ring.size
            {
                try finish()
                try begin()
            }
            append(block.bytes)
            packets += 1
            if let interface = block.interface, interface < interfaces { delivered[interface] += 1 }
        default: break
        }
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        pending += bytes
        size += bytes.count
    }

    private mutating func begin() throws {
        startedAt = Self.now()
        (written, size) = (0, 0)
        delivered = delivered.map { _ in 0 }
        droppedBefore = dropped
        try open()
        append(preamble[...])
    }

    private mutating func open() throws {
        if path == "-" {
            descriptor = STDOUT_FILENO
            return
        }
        var file = path
        if let ring {
            number += 1
            file = Self.numbered(path, number)
            kept.append(file)
            while kept.count > ring.files { unlink(kept.removeFirst()) }
        }
        descriptor = Foundation.open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure("open", file) }
    }

    /// `name.pcapng` becomes `name_00001.pcapng`.
    static func numbered(_ path: String, _ number: Int) -> String {
        let text = String(number)
        let digits = String(repeating: "0", count: max(0, 5 - text.count)) + text
        let name = (path as NSString).lastPathComponent as NSString
        let directory = (path as NSString).deletingLastPathComponent
        let suffix = name.pathExtension.isEmpty ? "" : "." + name.pathExtension
        let file = "\(name.deletingPathExtension)_\(digits)\(suffix)"
        return directory.isEmpty ? file : (directory as NSString).appendingPathComponent(file)
    }

    /// Writes what was taken.
    /// - Throws: `ReaderGone`, or what is wrong with the file, which ends with its last whole block then.
    mutating func flush() throws {
        var offset = 0
        while offset < pending.count {
            let count = pending[offset...].withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                offset += count
                continue
            }
            if errno == EINTR { continue }
            if errno == EPIPE { throw ReaderGone() }
            let failure = Self.failure("write", path)
            ftruncate(descriptor, off_t(written))
            pending.removeAll()
            throw failure
        }
        written += pending.count
        pending.removeAll(keepingCapacity: true)
    }

    /// Whether nobody can read what is written, also when nothing is.
    var isReaderGone: Bool {
        var entry = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLERR) != 0
    }

    /// Ends the file with what became of each interface's packets.
    mutating func finish() throws {
        guard descriptor >= 0 else { return }
        defer {
            if path != "-" { close(descriptor) }
            descriptor = -1
        }
        append(statistics()[...])
        try flush()
    }

    private func statistics() -> [UInt8] {
        var writer = PcapngWriter()
        let now = Self.now()
        for interface in 0..<interfaces {
            writer.addStatistics(
                interface: interface,
                start: startedAt,
                end: now,
                delivered: delivered[interface],
                dropped: dropped[interface] - droppedBefore[interface]
            )
        }
        return writer.take()
    }

    private static func now() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1e9) }

    private static func failure(_ call: String, _ file: String) -> CommandFailure {
        let reason = String(cString: strerror(errno))
        return CommandFailure(
            "error: \(file == "-" ? "stdout" : file) cannot be written (\(call): \(reason)); name another file with -w"
        )
    }
}
