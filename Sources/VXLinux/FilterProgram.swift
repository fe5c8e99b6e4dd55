import CVXLinux
import Glibc

/// A program that reads its stdin and answers on its stdout, run to its end by its path and words, never by a shell.
public struct FilterProgram: Sendable {
    /// Its exit code, or 128 and the number of the signal that ended it, as shells have it.
    public let code: CInt
    /// What it wrote to stdout; nil where that was more than the limit.
    public let output: [UInt8]?

    /// Runs it. Its stderr is this process's, or goes where its stdout goes.
    /// - Parameters:
    ///   - path: the program.
    ///   - words: its arguments, without its name.
    ///   - environment: all its variables.
    ///   - input: what it reads.
    ///   - limit: the most bytes that are taken of its output.
    ///   - complaintsToOutput: whether stderr joins stdout.
    /// - Throws: the call that failed before it ran.
    public init(
        _ path: String,
        _ words: [String] = [],
        environment: [String: String],
        input: [UInt8],
        limit: Int,
        complaintsToOutput: Bool = false
    ) throws(SystemCallError) {
        // In memory and whole before it starts: nobody waits for anybody, and a full disk is no matter.
        let memory = FileDescriptor(owning: memfd_create("input", Self.closeOnExec))
        if memory.rawValue < 0 { throw .last("memfd_create", path) }
        var offset = 0
        while offset < input.count {
            let written = input.withUnsafeBytes { buffer in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[offset...])
                return retryingInterrupted { write(memory.rawValue, rest.baseAddress, rest.count) }
            }
            if written < 0 { throw .last("write", "the input of \(path)") }
            offset += written
        }
        lseek(memory.rawValue, 0, SEEK_SET)
        var ends: [CInt] = [-1, -1]
        if pipe(&ends) < 0 { throw .last("pipe", path) }
        let reading = FileDescriptor(owning: ends[0])
        let writing = FileDescriptor(owning: ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let process = try Self.start(
            path,
            words,
            environment,
            [(memory.rawValue, STDIN_FILENO)]
                + (complaintsToOutput ? [STDOUT_FILENO, STDERR_FILENO] : [STDOUT_FILENO]).map { (ends[1], $0) }
        )
        // Else the end never comes.
        _ = consume writing
        let output = Result { () throws(SystemCallError) in try reading.readToEnd(limit: limit, name: path) }
        _ = consume reading
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0 { if errno != EINTR { throw .last("waitpid", path) } }
        let signal = status & 0x7f
        code = signal == 0 ? status >> 8 & 0xff : 128 + signal
        self.output = try output.get()
    }

    private static func start(
        _ path: String,
        _ words: [String],
        _ environment: [String: String],
        _ descriptors: [(CInt, CInt)]
    ) throws(SystemCallError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (from, to) in descriptors { posix_spawn_file_actions_adddup2(&actions, from, to) }
        var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + words).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, path, &actions, nil, &arguments, &variables)
        if code != 0 { throw SystemCallError(call: "posix_spawn", code: code, context: path) }
        return process
    }

    /// MFD_CLOEXEC of linux/memfd.h.
    private static var closeOnExec: CUnsignedInt { 1 }
}
