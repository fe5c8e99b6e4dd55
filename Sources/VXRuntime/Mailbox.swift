import Synchronization
public import VXLinux

/// Messages from any thread to one thread, which is woken by its event loop. For rare things only: packets never pass
/// through here.
public final class Mailbox<Message: Sendable>: Sendable {
    private let messages = Mutex<[Message]>([])
    /// Readable while there is something to take.
    public let wakeUp: WakeUp

    /// An empty one.
    public init() throws(SystemCallError) { wakeUp = try WakeUp() }

    /// Leaves a message and wakes the owner.
    public func post(_ message: Message) {
        messages.withLock { $0.append(message) }
        wakeUp.signal()
    }

    /// Takes all messages, in the order they were left.
    public func takeAll() -> [Message] {
        messages.withLock { messages in
            defer { messages.removeAll() }
            return messages
        }
    }
}
