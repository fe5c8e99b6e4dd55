import CVXLinux
import Glibc

/// Takes from this process whatever a running daemon does not need, before it starts a second thread: rights are a thread's own,
/// and inherited by those that it starts.
public enum Sandbox {
    /// What is in force.
    public struct Report: Sendable {
        /// A filter of system calls is.
        public var seccomp = false
        /// The version of landlock by which files are kept away; nil without.
        public var landlock: Int?
        /// Neither this process nor what it executes gets more rights.
        public var noNewPrivileges = false
        /// What is left.
        public var capabilities: Capabilities
        /// What is not in force, and why.
        public var problems: [String] = []

        /// As the process is, without having been asked for more.
        public static func unconfined() -> Report {
            Report(noNewPrivileges: vx_has_no_new_privileges() != 0, capabilities: .effective)
        }
    }

    /// Enters it, as far as the kernel goes along.
    /// - Parameter files: what stays reachable.
    public static func enter(files: [Landlock.Rule]) -> Report {
        var report = Report(capabilities: .effective)
        let others = threads - 1
        if others > 0 { report.problems.append("\(others) threads were started before and keep their rights") }
        func attempt(_ what: String, _ body: () throws(SystemCallError) -> Void) -> Bool {
            do {
                try body()
                return true
            } catch {
                report.problems.append("\(what): \(error)")
                return false
            }
        }
        _ = attempt("capabilities") { () throws(SystemCallError) in
            try Capabilities.keepOnly(.networkAdministration)
        }
        _ = attempt("no_new_privs") { () throws(SystemCallError) in
            if vx_set_no_new_privileges() < 0 { throw .last("prctl", "PR_SET_NO_NEW_PRIVS") }
        }
        if let abi = Landlock.abi {
            let isIn = attempt("landlock") { () throws(SystemCallError) in try Landlock.restrict(files, abi: abi) }
            if isIn { report.landlock = abi }
        } else {
            report.problems.append("landlock: this kernel does not have it, or it is switched off (lsm=)")
        }
        // The last: it forbids the calls above.
        report.seccomp = attempt("seccomp") { () throws(SystemCallError) in try SystemCallFilter.apply() }
        report.noNewPrivileges = vx_has_no_new_privileges() != 0
        report.capabilities = .effective
        return report
    }

    /// How many threads this process has; 1 should nobody tell.
    private static var threads: Int {
        guard let directory = opendir("/proc/self/task") else { return 1 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { count += 1 }
        }
        return max(count, 1)
    }
}
