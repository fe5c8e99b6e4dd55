import Glibc

/// What the kernel says of this process (proc(5), getrusage(2)).
public struct ProcessFigures: Sendable {
    /// Resident memory in bytes; nil where /proc cannot be read.
    public var residentBytes: UInt64?
    /// Virtual memory in bytes; nil where /proc cannot be read.
    public var virtualBytes: UInt64?
    /// Time on a processor, in user mode and in the kernel, in seconds.
    public var processorSeconds: Double
    /// File descriptors that are open; nil where /proc cannot be read.
    public var openDescriptors: Int?
    /// File descriptors that may be open.
    public var mostDescriptors: UInt64
    /// Seconds on a processor by thread, for threads whose names begin with `vxseal-`, without that; by name. Several threads of
    /// one name are one.
    public var threadSeconds: [(name: String, seconds: Double)]

    /// As of now.
    public init() {
        let pages = TextFile.read("/proc/self/statm")?.split(separator: " ").prefix(2).map { UInt64($0) } ?? []
        let pageSize = UInt64(sysconf(CInt(_SC_PAGESIZE)))
        virtualBytes = pages.first?.map { $0 * pageSize }
        residentBytes = pages.last?.map { $0 * pageSize }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        processorSeconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
        // The one that the directory is read through is not counted.
        openDescriptors = Self.names(in: "/proc/self/fd").map { $0.count - 1 }
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        mostDescriptors = UInt64(limit.rlim_cur)
        threadSeconds = Self.threads()
    }

    /// When this process began, in seconds since 1970 (CLOCK_REALTIME); nil where /proc cannot be read. To be asked once: a
    /// clock that is set moves it.
    public static func startTime() -> Double? {
        // Behind the name, which may hold anything, are the fields from the third on; the 22nd is the start, in ticks.
        guard let text = TextFile.read("/proc/self/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        var (real, boot) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &real)
        clock_gettime(CLOCK_BOOTTIME, &boot)
        return seconds(real) - seconds(boot) + ticks / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    private static func threads() -> [(name: String, seconds: Double)] {
        let prefix = "vxseal-"
        let ticks = Double(sysconf(CInt(_SC_CLK_TCK)))
        var found: [String: Double] = [:]
        for thread in names(in: "/proc/self/task") ?? [] {
            // One that ended in between is no more.
            guard let text = TextFile.read("/proc/self/task/\(thread)/stat"), let start = text.firstIndex(of: "("),
                let end = text.lastIndex(of: ")")
            else { continue }
            let name = text[text.index(after: start)..<end]
            let fields = text[text.index(after: end)...].split(separator: " ")
            guard name.hasPrefix(prefix), fields.count > 12, let user = Double(fields[11]),
                let system = Double(fields[12])
            else { continue }
            found[String(name.dropFirst(prefix.count)), default: 0] += (user + system) / ticks
        }
        return found.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    private static func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }

    /// The names in a directory but for `.` and `..`; nil when it cannot be read.
    private static func names(in directory: String) -> [String]? {
        guard let stream = opendir(directory) else { return nil }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}

/// Small files whose text the kernel makes as they are read.
enum TextFile {
    /// The first 4096 bytes; nil when it cannot be read.
    static func read(_ path: String) -> String? {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let descriptor = FileDescriptor(owning: number)
        return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            let count = Glibc.read(descriptor.rawValue, buffer.baseAddress, buffer.count)
            return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
        }
    }
}
