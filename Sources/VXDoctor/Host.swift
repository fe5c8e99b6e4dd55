public import VXNetlink
public import VXWire

/// What the checks know of the machine: values, and ways to read more. A test fills it with whatever it wants to be found.
public struct Host: Sendable {
    /// A file or directory, without its text.
    public struct FileStatus: Sendable {
        /// Permission bits.
        public var mode: UInt32
        /// The owner's user id.
        public var owner: UInt32

        /// From its parts.
        public init(mode: UInt32, owner: UInt32) {
            self.mode = mode
            self.owner = owner
        }
    }

    /// A file's text; nil when it cannot be read.
    public var read: @Sendable (_ path: String) -> String? = { _ in nil }
    /// A directory's entries; empty when it cannot be read.
    public var list: @Sendable (_ path: String) -> [String] = { _ in [] }
    /// What a symbolic link points to.
    public var target: @Sendable (_ path: String) -> String? = { _ in nil }
    /// What a file is; nil when there is none.
    public var status: @Sendable (_ path: String) -> FileStatus? = { _ in nil }
    /// The type of file system that a path is on, or would be.
    public var fileSystem: @Sendable (_ path: String) -> String = { _ in "" }
    /// Runs a program of the system; nil when it is missing or fails.
    public var run: @Sendable (_ program: String, _ words: [String]) -> String? = { _, _ in nil }
    /// Where packets to an endpoint leave by: an interface index, or nil when there is no route.
    public var route: @Sendable (_ endpoint: Endpoint) -> Int? = { _ in nil }
    /// All devices.
    public var links: [Link] = []
    /// All addresses.
    public var addresses: [DeviceAddress] = []
    /// Of this process.
    public var user: UInt32 = 0
    /// Something keeps the clock right.
    public var isClockSynchronised = true
    /// Random numbers are to be had.
    public var hasEntropy = true

    /// A machine of which nothing is known.
    public init() {}

    /// The device of a name.
    func link(_ name: String) -> Link? { links.first { $0.name == name } }

    /// The device of an interface index.
    func link(_ index: Int) -> Link? { links.first { $0.index == index } }

    /// A number from a file.
    func number(_ path: String) -> Int? {
        read(path).flatMap { text in text.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } }
    }
}
