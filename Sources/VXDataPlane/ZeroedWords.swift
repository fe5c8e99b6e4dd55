import Glibc
import Synchronization

/// Rows of atomic words that begin as zero.
enum ZeroedWords {
    /// Pages that nobody writes to take no memory, so that thousands of tables may be made for thousands of networks.
    static func allocate(_ count: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        guard let base = calloc(count, MemoryLayout<Atomic<UInt64>>.stride) else {
            fatalError("out of memory for a table of \(count) words")
        }
        return base.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    /// Gives a row back, where it does not live as long as the process.
    static func deallocate(_ words: UnsafeMutablePointer<Atomic<UInt64>>) { free(words) }
}
