import Testing
import VXLinux

@testable import VXRuntime

/// Messages to a thread, and what becomes of them when it ends.
@Suite struct MailboxTests {
    @Test("messages are taken in order, once")
    func order() throws {
        let mailbox = try Mailbox<Int>()
        #expect(mailbox.post(1) && mailbox.post(2))
        #expect(mailbox.takeAll() == [1, 2] && mailbox.takeAll().isEmpty)
    }

    @Test("a mailbox whose owner has ended takes nothing more, and says so")
    func closed() throws {
        let mailbox = try Mailbox<Int>()
        mailbox.post(1)
        #expect(mailbox.close() == [1])
        #expect(!mailbox.post(2) && mailbox.takeAll().isEmpty && mailbox.close().isEmpty)
    }

    @Test("a barrier is passed when every lane has passed it, and hands over what they let go")
    func barrier() async {
        for lanes in 1...4 {
            let former = await withCheckedContinuation { continuation in
                let barrier = LaneBarrier(lanes: lanes) { continuation.resume(returning: $0) }
                for lane in 0..<lanes { barrier.pass([QueueHandover(.absent, generation: lane)]) }
            }
            #expect(former.map(\.generation) == Array(0..<lanes))
        }
    }
}
