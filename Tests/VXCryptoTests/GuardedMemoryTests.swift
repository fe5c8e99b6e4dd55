import CSodium
import Foundation
import Synchronization
import Testing

@testable import VXCrypto

/// Where secrets stand.
@Suite(.serialized) struct GuardedMemoryTests {
    /// The lines of /proc/self/maps. Read to its end, which `String(contentsOfFile:)` does not do for files of no size.
    private func maps() throws -> [Substring] {
        let file = try #require(FileHandle(forReadingAtPath: "/proc/self/maps"))
        var contents = Data()
        while let piece = try file.read(upToCount: 1 << 16), !piece.isEmpty { contents += piece }
        return String(decoding: contents, as: UTF8.self).split(separator: "\n")
    }

    /// What /proc/self/maps says an address may be used for, `r--p` for one that is read-only.
    private func permissions(of address: UnsafeRawPointer) throws -> String {
        let place = UInt(bitPattern: address)
        for line in try maps() {
            let fields = line.split(separator: " ")
            let bounds = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            if bounds[0] <= place, place < bounds[1] { return String(fields[1]) }
        }
        return "none"
    }

    @Test("20,000 key sets of 16 lanes each way: their keys are right, and they need few mappings")
    func manyKeySets() throws {
        func keySet(_ number: Int) -> TransportKeySet {
            let key = (0..<32).map { UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8)) }
            return key.withUnsafeBytes { key in
                TransportKeySet(send: key, receive: key, sendLanes: 16, receiveLanes: 16)
            }
        }
        func bytes(_ key: TransportKey) -> [UInt8] { [UInt8](UnsafeRawBufferPointer(start: key.bytes, count: 32)) }
        let before = try maps().count
        var sets = (0..<20_000).map(keySet)
        let during = try maps().count
        #expect(during < 2000, "\(before) before, \(during) with them")
        for number in stride(from: 0, to: sets.count, by: 997) {
            for lane in [0, 7, 15] {
                let again = keySet(number)
                #expect(bytes(sets[number].sendKey(lane: lane)) == bytes(again.receiveKey(lane: lane)))
            }
        }
        let key = UnsafeRawPointer(sets[10_000].sendKey(lane: 3).bytes)
        #expect(try permissions(of: key) == "r--p")
        // Others may be made beside them while this runs; what is given back is far more.
        sets = []
        let after = try maps().count
        #expect(after < (before + during) / 2, "\(before) before, \(during) with them, \(after) after")
    }

    @Test("a slot is wiped when its secret goes, and used again")
    func wiped() throws {
        let memory = GuardedMemory { sodium_malloc($0) }
        let keeper = try #require(memory.take(32))
        memory.endWriting(keeper)
        let slot = try #require(memory.take(32))
        slot.base.initializeMemory(as: UInt8.self, repeating: 0xa5, count: 64)
        memory.endWriting(slot)
        memory.giveBack(slot)
        #expect(UnsafeRawBufferPointer(start: slot.base, count: 64).allSatisfy { $0 == 0 })
        #expect(try permissions(of: slot.base) == "r--p")
        let next = try #require(memory.take(64))
        #expect(next.base == slot.base)
        memory.endWriting(next)
        memory.giveBack(next)
        memory.giveBack(keeper)
    }

    @Test("a slab stays writable until the last of its writers has ended")
    func writers() throws {
        let memory = GuardedMemory { sodium_malloc($0) }
        let (first, second) = (try #require(memory.take(32)), try #require(memory.take(32)))
        #expect(try permissions(of: first.base) == "rw-p")
        memory.endWriting(first)
        #expect(try permissions(of: first.base) == "rw-p")
        memory.endWriting(second)
        #expect(try permissions(of: second.base) == "r--p")
        memory.giveBack(first)
        memory.giveBack(second)
    }

    @Test("secrets of any size stand apart, in their own bytes")
    func sizes() {
        let counts = [0, 1, 32, 63, 64, 65, 192, 256, 257, 1024, 1025, 4096, 70_000]
        for count in counts {
            let secret = SecretBytes(count: count) { $0.initializeMemory(as: UInt8.self, repeating: 0x5a) }
            let neighbour = SecretBytes.random(count: count)
            let isWhole = secret.count == count && secret.withBytes { $0.allSatisfy { $0 == 0x5a } }
            #expect(isWhole)
            let areEqual = SecretBytes.areEqual(secret, neighbour)
            #expect(count < 16 || !areEqual)
        }
    }

    @Test("where the kernel gives no more, what is there stays, and the next is refused")
    func exhausted() throws {
        let left = Mutex(3)
        let memory = GuardedMemory { size in
            let isGranted = left.withLock { left in
                left -= 1
                return left >= 0
            }
            return isGranted ? sodium_malloc(size) : nil
        }
        // One slab of each size of slot.
        #expect(memory.reserve())
        var slots: [GuardedMemory.Slot] = []
        while let slot = memory.take(1024) {
            memory.endWriting(slot)
            slots.append(slot)
        }
        #expect(slots.count == 128)
        #expect(!memory.reserve())
        #expect(memory.take(2000) == nil)
        let small = try #require(memory.take(32))
        memory.endWriting(small)
        for slot in slots.dropLast(64) { memory.giveBack(slot) }
        #expect(memory.reserve())
        for slot in slots.suffix(64) { memory.giveBack(slot) }
        memory.giveBack(small)
    }

    @Test("threads that make and drop secrets do not meet")
    func threads() async {
        let faults = await withTaskGroup(of: Int.self) { group in
            for number in 0..<4 as Range<UInt8> {
                group.addTask {
                    var faults = 0
                    for _ in 0..<2000 {
                        let secret = SecretBytes(count: 40) { $0.initializeMemory(as: UInt8.self, repeating: number) }
                        if !secret.withBytes({ $0.allSatisfy { $0 == number } }) { faults += 1 }
                    }
                    return faults
                }
            }
            return await group.reduce(0, +)
        }
        #expect(faults == 0)
    }
}
