import Foundation
import Synchronization

/// Child processes of the demonstration.
final class DemoShell {
    /// One that runs on, spoken to by lines.
    final class Child {
        fileprivate let process = Process()
        private let input = Pipe()
        private let output = Pipe()
        private var buffer = Data()

        fileprivate init(_ words: [String], errors: FileHandle) throws {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = words
            process.standardInput = input
            process.standardOutput = output
            process.standardError = errors
            try process.run()
        }

        func write(_ line: String) { input.fileHandleForWriting.write(Data((line + "\n").utf8)) }

        /// The next line, or nil at the end.
        func readLine() -> String? {
            while true {
                if let end = buffer.firstIndex(of: 10) {
                    defer { buffer = Data(buffer[(end + 1)...]) }
                    return String(decoding: buffer[..<end], as: UTF8.self)
                }
                let more = output.fileHandleForReading.availableData
                if more.isEmpty { return nil }
                buffer += more
            }
        }

        /// Ends it by SIGTERM and waits.
        func stop() -> Int32 {
            if process.isRunning { process.terminate() }
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    /// What is to be taken down when the demonstration is interrupted, from any thread.
    struct Scene: Sendable {
        fileprivate let processes: ProcessList
        fileprivate let directory: String

        /// Ends what runs, the daemons so that they clean up, and removes the files.
        func takeDown() {
            let processes = processes.end()
            for process in processes { kill(process, SIGTERM) }
            for process in processes { waitForEnd(of: process) }
            try? FileManager.default.removeItem(atPath: directory)
        }

        /// Foundation collects the children; here it only shows whether they are gone.
        private func waitForEnd(of process: pid_t) {
            let deadline = Date(timeIntervalSinceNow: 5)
            while kill(process, 0) == 0, Date() < deadline { usleep(10_000) }
        }
    }

    /// The processes that were started, for an end by signal.
    fileprivate final class ProcessList: Sendable {
        private let list = Mutex<[pid_t]>([])
        private let hasEnded = Atomic(false)
        var isEnded: Bool { hasEnded.load(ordering: .acquiring) }

        /// What was started, and is ended from now on.
        func end() -> [pid_t] {
            hasEnded.store(true, ordering: .releasing)
            return list.withLock { $0 }
        }

        func add(_ process: Process) { list.withLock { $0.append(process.processIdentifier) } }
        func remove(_ process: Process) { list.withLock { $0.removeAll { $0 == process.processIdentifier } } }
    }

    private let processes = ProcessList()
    private var children: [Child] = []
    private let log: FileHandle

    /// What the commands say as errors goes to a file, or nowhere.
    init(logFile: String?) throws {
        guard let logFile else {
            log = .nullDevice
            return
        }
        guard FileManager.default.createFile(atPath: logFile, contents: nil),
            let log = FileHandle(forWritingAtPath: logFile)
        else {
            throw CommandFailure("error: \(logFile) cannot be written")
        }
        self.log = log
    }

    /// Runs a command to its end.
    @discardableResult
    func run(_ line: String) -> (isGood: Bool, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = line.split(separator: " ").map(String.init)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return (false, "") }
        processes.add(process)
        defer { processes.remove(process) }
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus == 0, String(decoding: output, as: UTF8.self))
    }

    /// Runs a command that has to work.
    func must(_ line: String) throws {
        guard run(line).isGood else { throw CommandFailure("error: the demonstration could not run: \(line)") }
    }

    /// The demonstration was interrupted: what fails now says nothing.
    var isEnded: Bool { processes.isEnded }

    func scene(directory: String) -> Scene { Scene(processes: processes, directory: directory) }

    func start(_ line: String) throws -> Child {
        let child = try Child(line.split(separator: " ").map(String.init), errors: log)
        children.append(child)
        processes.add(child.process)
        return child
    }

    func stopAll() { for child in children { _ = child.stop() } }
}
