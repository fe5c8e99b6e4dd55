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
        lockAllKeys()
    }

    /// Key memory is locked, so that it is never swapped out, as far as the limit goes; who has CAP_IPC_LOCK has none, but not after
    /// that is given up.
    private static func lockAllKeys() {
        let resource = __rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue)
        var limit = rlimit(rlim_cur: rlim_t.max, rlim_max: rlim_t.max)
        if setrlimit(resource, &limit) == 0 { return }
        guard getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(resource, &limit)
    }
}
