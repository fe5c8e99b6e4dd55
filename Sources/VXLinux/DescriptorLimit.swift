import Glibc

/// How many file descriptors this process may have open.
public enum DescriptorLimit {
    /// Raises the limit to what an unprivileged process may have (getrlimit(2), RLIMIT_NOFILE): shells and services start with
    /// few, for programs that use select(2).
    /// - Returns: the limit from now on.
    public static func raise() -> Int {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return 1024 }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        return Int(clamping: setrlimit(resource, &limit) == 0 ? limit.rlim_cur : before)
    }
}
