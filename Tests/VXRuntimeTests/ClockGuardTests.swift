import Testing
import VXWire

@testable import VXRuntime

/// A suspended machine is noticed, and nothing else is taken for one.
@Suite struct ClockGuardTests {
    /// Clocks that the test sets.
    private final class Machine {
        var monotonic: UInt64 = 5_000_000_000
        var bootTime: UInt64 = 9_000_000_000

        func pass(_ milliseconds: UInt64) {
            monotonic += milliseconds * 1_000_000
            bootTime += milliseconds * 1_000_000
        }

        func suspend(_ milliseconds: UInt64) { bootTime += milliseconds * 1_000_000 }

        private lazy var clockGuard = ClockGuard(
            monotonic: { [unowned self] in Instant(nanoseconds: monotonic) },
            bootTime: { [unowned self] in Instant(nanoseconds: bootTime) }
        )

        init() { _ = clockGuard }

        func hasJumped() -> Bool { clockGuard.hasJumped() }
    }

    @Test("time that passes on both clocks is no jump, however long")
    func ordinaryTime() {
        let machine = Machine()
        for milliseconds: UInt64 in [0, 1, 1000, 3_600_000] {
            machine.pass(milliseconds)
            #expect(!machine.hasJumped())
        }
    }

    @Test("a suspend is reported once, and the next one again")
    func suspended() {
        let machine = Machine()
        for milliseconds: UInt64 in [101, 3_600_000] {
            machine.suspend(milliseconds)
            #expect(machine.hasJumped())
            #expect(!machine.hasJumped())
            machine.pass(1000)
            #expect(!machine.hasJumped())
        }
    }

    @Test("so are clocks that come closer, as in a restored copy of the machine")
    func restored() {
        let machine = Machine()
        machine.bootTime -= 3_000_000_000
        #expect(machine.hasJumped())
        #expect(!machine.hasJumped())
    }

    @Test("two readings may lie apart by what a busy machine takes")
    func tolerance() {
        let machine = Machine()
        machine.suspend(100)
        #expect(!machine.hasJumped())
    }

    @Test("the machine's own clocks do not jump while nobody suspends it")
    func ownClocks() {
        var clockGuard = ClockGuard()
        let hasJumped = clockGuard.hasJumped()
        #expect(!hasJumped)
    }
}
