import Foundation
import Testing

@testable import VXLinux

@Suite struct ProcessFiguresTests {
    @Test func whatTheKernelSaysOfThisProcess() throws {
        let figures = ProcessFigures()
        #expect(try #require(figures.residentBytes) > 1 << 20)
        #expect(try #require(figures.virtualBytes) >= #require(figures.residentBytes))
        #expect(figures.processorSeconds > 0)
        #expect(try #require(figures.openDescriptors) >= 3)
        #expect(figures.mostDescriptors >= UInt64(try #require(figures.openDescriptors)))
    }

    @Test func itBeganBeforeNow() throws {
        let start = try #require(ProcessFigures.startTime())
        let now = Date().timeIntervalSince1970
        #expect(start < now + 0.1 && start > now - 24 * 3600)
    }

    @Test func threadsByName() async {
        let name = "vxseal-x) y"
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                ThreadName.set(name)
                let named = ProcessFigures().threadSeconds.filter { $0.name == "x) y" }
                #expect(named.count == 1 && named[0].seconds >= 0)
                continuation.resume()
            }
        }
    }

    @Test func aThreadThatGivesWay() async {
        let niceness = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                ThreadPriority.yield(by: 10)
                continuation.resume(returning: TextFile.read("/proc/thread-self/stat"))
            }
        }
        // proc(5): the 19th field, behind the name.
        let fields = niceness?.split(separator: ")").last?.split(separator: " ")
        #expect(fields?[16] == "10")
    }
}
