import CVXLinux
import Glibc

/// Waits on many descriptors (epoll, level-triggered).
public struct EventLoop: ~Copyable {
    private let descriptor: FileDescriptor

    /// The tokens of the descriptors that are ready, in a buffer that is used again and again.
    public struct ReadyList: ~Copyable {
        fileprivate let events: UnsafeMutablePointer<epoll_event>
        fileprivate let capacity: Int
        /// How many are ready.
        public fileprivate(set) var count = 0

        /// Room for `capacity` descriptors a call; those beyond come with the next.
        public init(capacity: Int) {
            self.capacity = capacity
            events = .allocate(capacity: capacity)
        }

        deinit { events.deallocate() }

        /// A token.
        public subscript(place: Int) -> UInt64 {
            precondition(place < count, "no such event")
            return events[place].data.u64
        }

        /// Whether the descriptor has failed for good: the TAP device of a queue was removed.
        public func hasFailed(_ place: Int) -> Bool {
            precondition(place < count, "no such event")
            return events[place].events & EPOLLERR.rawValue != 0
        }
    }

    /// An empty set.
    public init() throws(SystemCallError) {
        let number = epoll_create1(CInt(EPOLL_CLOEXEC))
        if number < 0 { throw .last("epoll_create1", "event loop") }
        descriptor = FileDescriptor(owning: number)
    }

    /// Waits for a descriptor to become readable from now on. It must stay open as long as the loop is used.
    public func add(_ other: borrowing FileDescriptor, token: UInt64) throws(SystemCallError) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = token
        if epoll_ctl(descriptor.rawValue, EPOLL_CTL_ADD, other.rawValue, &event) < 0 {
            throw .last("epoll_ctl", "descriptor \(other.rawValue)")
        }
    }

    /// Waits for a descriptor no more.
    public func remove(_ other: borrowing FileDescriptor) {
        _ = epoll_ctl(descriptor.rawValue, EPOLL_CTL_DEL, other.rawValue, nil)
    }

    /// Waits until something is ready or the time is over.
    public func wait(into ready: inout ReadyList, timeoutMilliseconds: Int) {
        let (number, events, capacity) = (descriptor.rawValue, ready.events, CInt(ready.capacity))
        let timeout = CInt(clamping: timeoutMilliseconds)
        // An interrupted wait is an empty one: the caller loops anyway, and the timeout must not start over.
        ready.count = max(0, Int(epoll_wait(number, events, capacity, timeout)))
    }
}

/// Wakes an event loop from another thread (eventfd).
public struct WakeUp: ~Copyable, Sendable {
    /// For the event loop that is woken.
    public let descriptor: FileDescriptor

    /// Not signalled.
    public init() throws(SystemCallError) {
        let number = eventfd(0, CInt(EFD_NONBLOCK) | CInt(EFD_CLOEXEC))
        if number < 0 { throw .last("eventfd", "wake-up") }
        descriptor = FileDescriptor(owning: number)
    }

    /// Makes the descriptor readable. From any thread; many signals before a `clear` are one.
    public func signal() { eventfd_write(descriptor.rawValue, 1) }

    /// Takes the signal back; only the woken thread.
    public func clear() {
        var value: UInt64 = 0
        eventfd_read(descriptor.rawValue, &value)
    }
}
