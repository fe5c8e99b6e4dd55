import CVXLinux
import Glibc

/// A program that this process has started and waits for.
public struct SpawnedProgram: Sendable {
    /// Its process id, this process's to wait for.
    public let process: CInt

    /// Starts a program with this process's standard streams and no other of its files, no signal blocked and none ignored.
    /// - Parameters:
    ///   - path: the program.
    ///   - words: its arguments, without its name.
    ///   - omitted: names of environment variables that it does not get.
    /// - Throws: the errno of posix_spawn(3).
    public init(_ path: String, _ words: [String], without omitted: Set<String> = []) throws(SystemCallError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Not all libraries open files that are closed on exec.
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + words).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = Self.environment(without: omitted).map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, path, &actions, &attributes, &arguments, &variables)
        if code != 0 {
            errno = code
            throw .last("posix_spawn", path)
        }
        self.process = process
    }

    private static func environment(without omitted: Set<String>) -> [String] {
        var variables: [String] = []
        var next = environ
        while let text = next.pointee {
            let variable = String(cString: text)
            if !omitted.contains(String(variable.prefix { $0 != "=" })) { variables.append(variable) }
            next += 1
        }
        return variables
    }

    /// Waits on the calling thread until it has ended.
    /// - Returns: its exit code, or 128 and the number of the signal that ended it, as shells have it.
    public func wait() -> CInt {
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0 { if errno != EINTR { return 127 } }
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }

    /// Sends it a signal.
    public func signal(_ number: CInt) { kill(process, number) }
}
