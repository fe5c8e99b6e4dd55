import Foundation
import Synchronization
import Testing
import VXWire

@testable import VXDataPlane

/// The rings between lane threads.
@Suite struct HandoverRingTests {
    private static let source = Endpoint(address: .v6(IPv6Address(high: 0xfe80 << 48, low: 7)), port: 47891, scope: 3)

    private func push(_ ring: HandoverRing, _ bytes: [UInt8]) -> RingPush {
        bytes.withUnsafeBytes {
            ring.push($0.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!, count: $0.count, source: Self.source)
        }
    }

    private func pop(_ ring: HandoverRing, _ position: inout Int) -> [UInt8]? {
        ring.next(&position).map { [UInt8](UnsafeRawBufferPointer(start: $0.base, count: $0.count)) }
    }

    @Test("what goes in comes out, with its source, in order, across the end of the memory many times")
    func order() {
        let rings = HandoverRings(threads: 2, capacity: 1 << 17)
        let ring = rings.ring(from: 0, to: 1)
        var position = 0
        for round in 0..<2_000 {
            let sent = (0..<3).map {
                [UInt8](repeating: UInt8(truncatingIfNeeded: round + $0), count: round * 37 % 9_000 + $0)
            }
            for bytes in sent { if case .full = push(ring, bytes) { Issue.record("full in round \(round)") } }
            for bytes in sent { #expect(pop(ring, &position) == bytes) }
            #expect(ring.next(&position) == nil)
            ring.release(position)
        }
        _ = push(ring, [1])
        #expect(ring.next(&position)?.source == Self.source)
    }

    @Test("a full ring refuses, keeps what it has, and takes again when something is released")
    func full() {
        let rings = HandoverRings(threads: 2, capacity: 1 << 17)
        let ring = rings.ring(from: 1, to: 0)
        let datagram = [UInt8](repeating: 1, count: 1_400)
        var stored = 0
        filling: while true {
            switch push(ring, datagram) {
            case .storedAfterSilence: #expect(stored == 0, "the reader was woken by the first")
            case .stored: #expect(stored > 0)
            case .full: break filling
            }
            stored += 1
        }
        #expect(stored == (1 << 17) / (64 + 1_408))
        var position = 0
        #expect(pop(ring, &position) == datagram)
        #expect(pop(ring, &position) == datagram)
        if case .full = push(ring, datagram) {} else { Issue.record("what is not released was overwritten") }
        ring.release(position)
        if case .full = push(ring, datagram) { Issue.record("no room after a release") }
    }

    @Test("two threads: nothing lost, torn or out of order, and the reader is woken whenever it sleeps")
    func threads() {
        let rings = HandoverRings(threads: 2, capacity: 1 << 17)
        let ring = rings.ring(from: 0, to: 1)
        let count = 200_000
        let wakeUps = DispatchSemaphore(value: 0)
        let isDone = DispatchSemaphore(value: 0)
        let faults = Atomic<Int>(0)
        Thread.detachNewThread {
            var (position, expected) = (0, 0)
            while expected < count {
                let start = position
                while let datagram = ring.next(&position) {
                    let length = expected * 13 % 1_500 + 8
                    let number = datagram.base.loadUnaligned(as: Int.self)
                    let last = datagram.base.load(fromByteOffset: datagram.count - 1, as: UInt8.self)
                    if number != expected || datagram.count != length
                        || length > 8 && last != UInt8(truncatingIfNeeded: expected)
                    {
                        faults.add(1, ordering: .relaxed)
                    }
                    expected += 1
                }
                if position == start { wakeUps.wait() } else { ring.release(position) }
            }
            isDone.signal()
        }
        var bytes = [UInt8](repeating: 0, count: 1_508)
        for number in 0..<count {
            let length = number * 13 % 1_500 + 8
            bytes[length - 1] = UInt8(truncatingIfNeeded: number)
            bytes.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return }
                base.storeBytes(of: number, as: Int.self)
                while true {
                    switch ring.push(base, count: length, source: Self.source) {
                    case .stored: return
                    case .storedAfterSilence:
                        wakeUps.signal()
                        return
                    case .full: continue
                    }
                }
            }
        }
        isDone.wait()
        #expect(faults.load(ordering: .relaxed) == 0)
    }
}
