import CSodium
import Glibc
import Synchronization

/// Slots for secrets in slabs of guarded memory: between guard pages, locked, left out of core dumps, gone in forked
/// children, read-only but while a secret is being written.
///
/// A region of libsodium's own for every secret costs five mappings, and the kernel allows a process 65,530
/// (vm.max_map_count): a few thousand peers with their sessions would use them up. A slab costs as many and holds
/// hundreds of secrets. Cold, therefore under a lock; readers take none.
final class GuardedMemory: Sendable {
    /// The process's memory.
    static let shared = GuardedMemory(allocate: { size in
        Sodium.initialize()
        return sodium_malloc(size)
    })

    /// One guarded region, cut into equal slots. What changes in it is guarded by the lock of its `GuardedMemory`.
    final class Slab: @unchecked Sendable {
        fileprivate let base: UnsafeMutableRawPointer
        fileprivate let slotSize: Int
        fileprivate let size: Int
        fileprivate var free: [Int]
        /// Secrets that are being written or wiped right now.
        fileprivate var writers = 0
        /// While there are writers, and within a derivation until it ends.
        fileprivate var isWritable = false

        fileprivate init?(slotSize: Int, size: Int, allocate: (Int) -> UnsafeMutableRawPointer?) {
            guard let base = allocate(size) else { return nil }
            self.base = base
            self.slotSize = slotSize
            self.size = size
            free = Array((0..<size / slotSize).reversed())
            // MADV_WIPEONFORK of linux/mman.h. Not on every kernel; the keys are wiped by their owner in any case.
            let wipeOnFork: CInt = 18
            madvise(base, size, wipeOnFork)
            sodium_mprotect_readonly(base)
        }

        deinit {
            // Wipes, and checks that nothing was written before or behind the region.
            sodium_free(base)
        }

        fileprivate var isUnused: Bool { free.count == size / slotSize }
        fileprivate var isFull: Bool { free.isEmpty }

        fileprivate func beginWriting() {
            writers += 1
            guard !isWritable else { return }
            precondition(sodium_mprotect_readwrite(base) == 0, "mprotect of key memory failed")
            isWritable = true
        }

        fileprivate func protect() {
            guard writers == 0, isWritable else { return }
            precondition(sodium_mprotect_readonly(base) == 0, "mprotect of key memory failed")
            isWritable = false
        }
    }

    /// Where one secret stands. Holds its slab in memory.
    struct Slot: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        fileprivate let slab: Slab
    }

    /// A key; an HKDF's outputs or the keys of four lanes; the keys of 16 lanes in both directions.
    private static let slotSizes = [64, 256, 1024]
    /// A multiple of every page size there is.
    private static let slabSize = 128 << 10
    /// More secrets than one handshake holds at once.
    private static let reserve = 64

    private let allocate: @Sendable (Int) -> UnsafeMutableRawPointer?
    private let state = Mutex(State())

    private struct State: ~Copyable {
        /// For each of `slotSizes` the slabs that have room. Full ones are held by their slots alone.
        var open: [[Slab]] = Array(repeating: [], count: GuardedMemory.slotSizes.count)
        /// Derivations that are under way, and the slabs that they wrote to.
        var derivations = 0
        var written: [Slab] = []

        mutating func endWriting(_ slab: Slab) {
            slab.writers -= 1
            if derivations == 0 {
                slab.protect()
            } else if !written.contains(where: { $0 === slab }) {
                written.append(slab)
            }
        }
    }

    /// - Parameter allocate: what gives guarded memory of a size, as `sodium_malloc` does.
    init(allocate: @escaping @Sendable (Int) -> UnsafeMutableRawPointer?) { self.allocate = allocate }

    /// A slot of at least `count` bytes, open for writing until `endWriting`; nil when there is no memory.
    func take(_ count: Int) -> Slot? {
        guard let size = Self.slotSizes.firstIndex(where: { $0 >= count }) else {
            // Larger than anything a session needs: a region of its own.
            let page = Int(getpagesize())
            let whole = (count + page - 1) / page * page
            guard let slab = Slab(slotSize: whole, size: whole, allocate: allocate) else { return nil }
            return state.withLock { _ in Self.takeSlot(of: slab) }
        }
        return state.withLock { state in
            if state.open[size].isEmpty {
                guard let slab = makeSlab(size) else { return nil }
                state.open[size].append(slab)
            }
            let slab = state.open[size][state.open[size].count - 1]
            let slot = Self.takeSlot(of: slab)
            if slab.isFull { state.open[size].removeLast() }
            return slot
        }
    }

    /// What `take` opened is read-only again.
    func endWriting(_ slot: Slot) {
        state.withLock { $0.endWriting(slot.slab) }
    }

    /// From here to `endDerivation` what is written to stays writable: a handshake makes and wipes some twenty secrets, and
    /// four changes of protection for each would take most of its time.
    func beginDerivation() {
        state.withLock { $0.derivations += 1 }
    }

    /// Protects what was written to, once no other thread is deriving.
    func endDerivation() {
        state.withLock { state in
            state.derivations -= 1
            guard state.derivations == 0 else { return }
            for slab in state.written { slab.protect() }
            state.written.removeAll(keepingCapacity: true)
        }
    }

    /// Wipes a slot and takes it back.
    func giveBack(_ slot: Slot) {
        let slab = slot.slab
        state.withLock { state in
            let wasFull = slab.isFull
            slab.beginWriting()
            sodium_memzero(slot.base, slab.slotSize)
            state.endWriting(slab)
            slab.free.append((slot.base - slab.base) / slab.slotSize)
            guard let size = Self.slotSizes.firstIndex(of: slab.slotSize) else { return }
            if wasFull { state.open[size].append(slab) }
            // One unused slab stays, so that a single secret that comes and goes does not make and free it each time.
            if slab.isUnused, state.open[size].count > 1 { state.open[size].removeAll { $0 === slab } }
        }
    }

    /// Makes sure that one more handshake finds memory for all its secrets.
    /// - Returns: false when the kernel gives none.
    func reserve() -> Bool {
        state.withLock { state in
            for size in state.open.indices {
                let room = state.open[size].reduce(0) { $0 + $1.free.count }
                guard room < Self.reserve else { continue }
                guard let slab = makeSlab(size) else { return false }
                // In front: the one with less room is used up first.
                state.open[size].insert(slab, at: 0)
            }
            return true
        }
    }

    private func makeSlab(_ size: Int) -> Slab? {
        Slab(slotSize: Self.slotSizes[size], size: Self.slabSize, allocate: allocate)
    }

    private static func takeSlot(of slab: Slab) -> Slot? {
        guard let place = slab.free.popLast() else { return nil }
        slab.beginWriting()
        return Slot(base: slab.base + place * slab.slotSize, slab: slab)
    }
}

/// The memory that secrets stand in, for who makes many of them in a row.
public enum SecretMemory {
    /// What is written to stays writable until `endDerivation`; the two come in pairs.
    public static func beginDerivation() { GuardedMemory.shared.beginDerivation() }

    /// What was written to is read-only again.
    public static func endDerivation() { GuardedMemory.shared.endDerivation() }
}
