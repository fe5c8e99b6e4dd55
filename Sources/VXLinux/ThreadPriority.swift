import Glibc

/// How the calling thread shares a core with others.
public enum ThreadPriority {
    /// Makes it give way to threads of the normal priority (setpriority(2), which is per thread on Linux). At 5 it gets about
    /// a quarter of a core that another thread wants all of, at 10 a tenth (sched(7), the nice value), and all of one that is free.
    /// - Returns: false when the kernel refuses, which leaves it as it was.
    @discardableResult
    public static func yield(by niceness: Int32) -> Bool {
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness) == 0
    }
}
