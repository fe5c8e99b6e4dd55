import CSeccomp
import CVXLinux
import Glibc

/// The system calls that a running daemon makes, and no others (seccomp(2), by libseccomp).
///
/// What is not listed fails with ENOSYS, as on a kernel that does not have it. To kill the process for it would be stricter, but
/// the list cannot know what a libc of next year calls for what one of this year did by another call, and a gateway that dies
/// takes every tunnel with it. Libraries are made for kernels that lack a call, and go back to an older one; they are not made for
/// EPERM in that place. Calls that nothing here has an honest use for, whatever the libc, are another matter: they are how code
/// that somebody smuggled in goes on, and kill the process (SIGSYS, which systemd reports).
///
/// Either is told by the kernel's log (audit type 1326, with the call's number), which is how a call that the list lacks is found:
/// `journalctl -k --grep type=1326`.
enum SystemCallFilter {
    /// Calls whose arguments do not matter. clone3 hides its flags in memory, so that a process may be started as well as a thread;
    /// it is confined as this one is, and can execute nothing.
    private static let allowed = """
        brk madvise membarrier mlock mlock2 mremap munlock munmap
        clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time
        timer_create timer_delete timer_settime timerfd_create timerfd_gettime timerfd_settime
        clone clone3 exit exit_group futex futex_time64 futex_wait futex_waitv futex_wake get_robust_list restart_syscall rseq
        set_robust_list set_tid_address sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam
        sched_getscheduler sched_setaffinity sched_yield getpriority
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sigaltstack sigreturn
        getcpu setpriority getegid geteuid getgid getgroups getpgrp getpid getppid getrandom getresgid getresuid getrlimit getrusage
        getsid gettid getuid sysinfo times ugetrlimit uname umask capget
        access chmod close close_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchmod fchmodat fchmodat2
        fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate getcwd getdents getdents64 link linkat
        lseek lstat mkdir mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv pwrite64 pwritev read readahead
        readlink readlinkat readv rename renameat renameat2 rmdir sendfile stat statfs statfs64 statx sync_file_range
        unlink unlinkat utimensat write writev
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 inotify_add_watch
        inotify_init1 inotify_rm_watch poll ppoll pselect6 select signalfd4 _newselect
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg recv sendmmsg
        sendmsg sendto send setsockopt shutdown socketpair
        fcntl fcntl64 landlock_create_ruleset
        """

    /// What only an intruder would call.
    private static let fatal = """
        execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp
        bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
        mount umount2 pivot_root move_mount open_tree fsopen fsmount fsconfig mount_setattr chroot setns unshare
        init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl
        add_key request_key keyctl setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset
        settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm modify_ldt personality
        open_by_handle_at name_to_handle_at fanotify_init syslog lookup_dcookie vhangup nfsservctl
        """

    /// ioctl(2)s: of TAP queues and sockets, and what libraries ask of a descriptor.
    private static let controls: [UInt] = [
        UInt(VX_TUNSETIFF), UInt(VX_TUNGETIFF), UInt(VX_TUNSETOFFLOAD), UInt(VX_TUNSETVNETHDRSZ),
        UInt(VX_TUNSETSTEERINGEBPF), UInt(SIOCGIFMTU), UInt(SIOCGIFINDEX), UInt(SIOCGIFNAME), UInt(SIOCGIFFLAGS),
        UInt(FIONREAD), UInt(FIONBIO), UInt(FIOCLEX), UInt(TCGETS),
    ]

    /// prctl(2): names of threads and of memory, and questions.
    private static let processControls: [UInt] = [
        UInt(PR_SET_NAME), UInt(PR_GET_NAME), 0x5356_4d41, UInt(PR_GET_DUMPABLE), UInt(PR_GET_NO_NEW_PRIVS),
        UInt(PR_CAPBSET_READ), UInt(PR_GET_SECCOMP),
    ]

    /// The families that sockets are made of.
    private static let families: [UInt] = [UInt(AF_UNIX), UInt(AF_INET), UInt(AF_INET6), UInt(AF_NETLINK)]

    /// Puts the filter into force, for every thread that there is and will be. Sets no_new_privs.
    static func apply() throws(SystemCallError) {
        guard let context = seccomp_init(vx_seccomp_error(ENOSYS)) else {
            throw SystemCallError(call: "seccomp_init", code: ENOMEM, context: "libseccomp")
        }
        defer { seccomp_release(context) }
        func check(_ code: CInt, _ call: String, _ what: String) throws(SystemCallError) {
            if code < 0 { throw SystemCallError(call: call, code: -code, context: what) }
        }
        try check(seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1), "seccomp_attr_set", "all threads")
        // Another architecture's calls have other numbers.
        try check(
            seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, vx_seccomp_kill()),
            "seccomp_attr_set",
            "other architectures"
        )
        // A kernel that tells nothing of what it refuses, and a search by halves rather than from the top, are no conditions.
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_LOG, 1)
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        func rule(_ action: UInt32, _ name: String, _ comparisons: [scmp_arg_cmp]) throws(SystemCallError) {
            let number = seccomp_syscall_resolve_name(name)
            // This libseccomp does not know it: then it stays with the default.
            guard number != __NR_SCMP_ERROR else { return }
            let code = comparisons.withUnsafeBufferPointer {
                seccomp_rule_add_array(context, action, number, UInt32($0.count), $0.baseAddress)
            }
            try check(code, "seccomp_rule_add", name)
        }
        let allow = vx_seccomp_allow()
        for name in words(allowed) { try rule(allow, name, []) }
        for name in words(fatal) { try rule(vx_seccomp_kill(), name, []) }
        for request in controls { try rule(allow, "ioctl", [equal(1, request)]) }
        for option in processControls { try rule(allow, "prctl", [equal(0, option)]) }
        for family in families { try rule(allow, "socket", [equal(0, family)]) }
        // Limits are read.
        try rule(allow, "prlimit64", [equal(2, 0)])
        // Signals to itself alone.
        let process = UInt(getpid())
        try rule(allow, "tgkill", [equal(0, process)])
        try rule(allow, "kill", [equal(0, process)])
        // Memory that is executed was never written by this process: libraries' alone, which look-ups of names may load.
        try rule(allow, "mprotect", [masked(2, UInt(PROT_EXEC), 0)])
        for name in ["mmap", "mmap2"] {
            try rule(allow, name, [masked(2, UInt(PROT_EXEC), 0)])
            try rule(allow, name, [masked(2, UInt(PROT_EXEC | PROT_WRITE), UInt(PROT_EXEC))])
        }
        try check(seccomp_load(context), "seccomp_load", "this process")
    }

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    private static func equal(_ argument: UInt32, _ value: UInt) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_EQ, datum_a: UInt64(value), datum_b: 0)
    }

    private static func masked(_ argument: UInt32, _ mask: UInt, _ value: UInt) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: UInt64(mask), datum_b: UInt64(value))
    }
}
