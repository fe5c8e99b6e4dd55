import Synchronization
public import VXLinux

/// Messages from any thread to one thread, which is woken by its event loop. For rare things only: packets never pass
/// through here.
public final class Mailbox<Message: Sendable>: Sendable {
    private struct Contents {
        var messages: [Message] = []
        var isClosed = false
    }

    private let contents = Mutex(Contents())
    /// Readable while there is something to take.
    public let wakeUp: WakeUp

    /// An empty one.
    public init() throws(SystemCallError) { wakeUp = try WakeUp() }

    /// Leaves a message and wakes the owner.
    /// - Returns: false when the owner has ended: nobody will take it.
    @discardableResult
    public func post(_ message: Message) -> Bool {
        let isTaken = contents.withLock { contents in
            if !contents.isClosed { contents.messages.append(message) }
            return !contents.isClosed
        }
        if isTaken { wakeUp.signal() }
        return isTaken
    }

    /// Takes all messages, in the order they were left.
    public func takeAll() -> [Message] {
        contents.withLock { contents in
            defer { contents.messages.removeAll() }
            return contents.messages
        }
    }

    /// Takes the last messages; the owner ends. Whoever waits for the answer to one must hear of it.
    public func close() -> [Message] {
        contents.withLock { contents in
            contents.isClosed = true
            defer { contents.messages.removeAll() }
            return contents.messages
        }
    }
}
