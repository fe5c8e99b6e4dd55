import CVXLinux

/// The calling thread's name, as `top -H` and `perf` show it.
public enum ThreadName {
    /// Sets it; the kernel keeps the first 15 bytes.
    public static func set(_ name: String) { _ = vx_set_thread_name(name) }
}
