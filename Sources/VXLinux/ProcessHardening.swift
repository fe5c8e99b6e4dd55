import CVXLinux
import Glibc

/// Keeps key memory out of core dumps and away from debuggers of the same user.
public enum ProcessHardening {
    /// Forbids core dumps and ptrace by equals. A refusal is no reason not to run: the keys are still excluded from dumps
    /// page by page.
    public static func apply() {
        _ = vx_set_not_dumpable()
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }
}
