import Foundation
import Glibc
import Synchronization
import Testing
import VXControl

@testable import VXEtcd

/// A real etcd, of one member or several, in a directory and on ports of its own; all of it ends with this object, or with the
/// process.
final class EtcdServer: Sendable {
    static let isThere = ["etcd", "etcdctl"].allSatisfy { program in
        ["/usr/bin/", "/usr/local/bin/"].contains { FileManager.default.isExecutableFile(atPath: $0 + program) }
    }

    let directory: URL
    let endpoints: [String]
    private let members: [[String]]
    private let pids: Mutex<[pid_t?]>

    /// - Parameters:
    ///   - members: how many.
    ///   - files: a directory with `ca.pem`, `server.pem` and `server.key`, for TLS with client certificates.
    init(members count: Int = 1, tls files: URL? = nil, options: [String] = []) async throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-etcd-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let ports = Self.freePorts(2 * count)
        let scheme = files == nil ? "http" : "https"
        endpoints = (0..<count).map { "\(scheme)://127.0.0.1:\(ports[$0])" }
        let peers = (0..<count).map { "http://127.0.0.1:\(ports[count + $0])" }
        let cluster = (0..<count).map { "m\($0)=\(peers[$0])" }.joined(separator: ",")
        let path = directory.path
        let clients = endpoints
        members = (0..<count).map { n in
            var words = [
                "--name", "m\(n)", "--data-dir", "\(path)/m\(n)", "--initial-cluster", cluster,
                "--listen-client-urls", clients[n], "--advertise-client-urls", clients[n],
                "--listen-peer-urls", peers[n], "--initial-advertise-peer-urls", peers[n],
            ]
            if let files {
                words += ["--cert-file", "\(files.path)/server.pem", "--key-file", "\(files.path)/server.key"]
                words += ["--client-cert-auth", "--trusted-ca-file", "\(files.path)/ca.pem"]
            }
            return words + options
        }
        pids = Mutex(Array(repeating: nil, count: count))
        for n in 0..<count { start(n) }
    }

    deinit {
        for n in members.indices { kill(n) }
        try? FileManager.default.removeItem(at: directory)
    }

    // MARK: - Members

    /// Starts a member. A shell beside it ends it when this process is gone.
    func start(_ n: Int) {
        let log = "\(directory.path)/m\(n).log"
        let script = """
            etcd "$@" >> "$LOG" 2>&1 < /dev/null & child=$!
            echo $child > "$LOG.pid"
            while kill -0 \(getpid()) 2> /dev/null && kill -0 $child 2> /dev/null; do sleep 1; done
            kill -9 $child 2> /dev/null
            """
        unlink(log + ".pid")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, "etcd"] + members[n]
        process.environment = ProcessInfo.processInfo.environment.merging(["LOG": log]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch { Issue.record("no shell: \(error)") }
        let deadline = ContinuousClock.now + .seconds(10)
        var pid: pid_t?
        while pid == nil, .now < deadline {
            pid = (try? String(contentsOfFile: log + ".pid", encoding: .utf8)).flatMap {
                pid_t($0.trimmingCharacters(in: .newlines))
            }
            if pid == nil { usleep(1000) }
        }
        pids.withLock { $0[n] = pid }
    }

    func kill(_ n: Int) {
        send(SIGKILL, n)
        pids.withLock { $0[n] = nil }
    }

    func freeze(_ n: Int) { send(SIGSTOP, n) }
    func thaw(_ n: Int) { send(SIGCONT, n) }

    private func send(_ signal: Int32, _ n: Int) { if let pid = pids.withLock({ $0[n] }) { Glibc.kill(pid, signal) } }

    /// Waits until every member takes part.
    func ready(_ more: [String] = []) async throws {
        for endpoint in endpoints {
            try await until("\(endpoint) answers") {
                await Self.run("etcdctl", ["--endpoints", endpoint] + more + ["get", "x"]).code == 0
            }
        }
    }

    /// Which member leads.
    func leader() async throws -> Int {
        for n in endpoints.indices {
            let (code, output) = await Self.run(
                "etcdctl",
                ["--endpoints", endpoints[n], "-w", "json", "endpoint", "status"]
            )
            struct Status: Decodable {
                struct Inner: Decodable {
                    struct Header: Decodable { let member_id: UInt64 }
                    let header: Header
                    let leader: UInt64
                }
                let Status: Inner
            }
            if code == 0, let status = try JSONDecoder().decode([Status].self, from: Data(output.utf8)).first?.Status,
                status.leader == status.header.member_id
            {
                return n
            }
        }
        throw DirectoryError("nobody leads")
    }

    // MARK: - etcd's own client

    /// Runs etcdctl, with all members.
    @discardableResult
    func ctl(_ words: String...) async throws -> String {
        let (code, output) = await Self.run("etcdctl", ["--endpoints", endpoints.joined(separator: ",")] + words)
        guard code == 0 else { throw DirectoryError("etcdctl \(words) ended with \(code): \(output)") }
        return output
    }

    /// A value, byte for byte.
    func value(_ key: String) async throws -> String {
        String(try await ctl("get", "--print-value-only", key).dropLast())
    }

    static func run(_ program: String, _ words: [String]) async -> (code: Int32, output: String) {
        await withCheckedContinuation { continuation in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["ETCDCTL_API=3", program] + words
            let file = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-\(UUID().uuidString)")
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
            process.standardInput = FileHandle.nullDevice
            let output = try? FileHandle(forWritingTo: file)
            process.standardOutput = output
            process.standardError = output
            process.terminationHandler = { process in
                let text = (try? Data(contentsOf: file)).map { String(decoding: $0, as: UTF8.self) } ?? ""
                try? FileManager.default.removeItem(at: file)
                continuation.resume(returning: (process.terminationStatus, text))
            }
            do { try process.run() } catch { continuation.resume(returning: (127, "\(error)")) }
        }
    }

    private static func freePorts(_ count: Int) -> [UInt16] {
        // All are open at once, so that none comes twice.
        let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        defer { for socket in sockets { close(socket) } }
        return sockets.map { socket in
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            return withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = bind(socket, $0, length)
                    _ = getsockname(socket, $0, &length)
                }
                return UInt16(bigEndian: $0.pointee.sin_port)
            }
        }
    }
}

/// Waits for a condition.
func until(
    _ what: String,
    seconds: Double = 30,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !condition() {
        guard .now < deadline else { throw DirectoryError("not within \(seconds) s: \(what)") }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// A directory that runs, and what it told.
actor Listener {
    private(set) var events: [DirectoryEvent] = []
    /// What a reader of the events believes to be there.
    private(set) var leases: [String: Lease] = [:]
    private var task: Task<Void, any Error>?

    func start(_ directory: EtcdDirectory, _ lease: Lease) {
        task = Task { try await directory.run(lease) { await self.take($0) } }
    }

    /// Cancels it, and waits for its end.
    func stop() async {
        task?.cancel()
        _ = await task?.result
        task = nil
    }

    private func take(_ event: DirectoryEvent) {
        events.append(event)
        switch event {
        case .snapshot(let all): leases = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })
        case .updated(let lease): leases[lease.id] = lease
        case .removed(let id), .unreadable(let id, why: _): leases[id] = nil
        case .unreachable, .reachable, .lost: break
        }
    }

    var snapshots: Int { events.count { if case .snapshot = $0 { true } else { false } } }
    var lost: [String] { events.compactMap { if case .lost(let why) = $0 { why } else { nil } } }
    /// `unreachable` and `reachable`, in their order.
    var reachability: [Bool] {
        events.compactMap { event in
            switch event {
            case .unreachable: false
            case .reachable: true
            default: nil
            }
        }
    }
}
