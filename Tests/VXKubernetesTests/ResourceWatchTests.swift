import Foundation
import Testing
import VXControl
import VXWire

@testable import VXKubernetes

/// The state machine alone, without a server or a clock.
struct ResourceWatchTests {
    private typealias Watch = ResourceWatch<NodeObject>
    private typealias News = ResourceNews<NodeObject>

    private var random = SystemRandomNumberGenerator()

    private static func node(_ name: String, _ version: String) -> NodeObject {
        NodeObject(name: name, resourceVersion: version)
    }

    private static func refused(_ code: Int, retryAfter: Double? = nil) -> KubernetesError {
        .refused(.init(call: "watch /api/v1/nodes", code: code, message: "", retryAfter: retryAfter))
    }

    private static func watching(from version: String = "10") throws -> Watch {
        var watch = Watch(pauses: Backoff(first: 1, longest: 8))
        let news = try watch.take(ObjectPage(items: [node("a", "5")], resourceVersion: version))
        #expect(news == [.replaced([node("a", "5")])])
        #expect(watch.step == .watch(from: version))
        #expect(watch.watching() == [])
        return watch
    }

    @Test func pagesAreToldAsOne() throws {
        var watch = Watch(pauses: Backoff())
        #expect(watch.step == .list(continuing: nil))
        let first = ObjectPage(items: [Self.node("a", "1")], resourceVersion: "7", next: "more")
        #expect(try watch.take(first) == [])
        #expect(watch.step == .list(continuing: "more"))
        let last = ObjectPage(items: [Self.node("b", "2")], resourceVersion: "7")
        #expect(try watch.take(last) == [.replaced([Self.node("a", "1"), Self.node("b", "2")])])
        #expect(watch.step == .watch(from: "7"))
    }

    /// A page that is no longer kept: the list begins again, and what came before it is not told twice.
    @Test mutating func pagesBeginAgain() throws {
        var watch = Watch(pauses: Backoff())
        _ = try watch.take(ObjectPage(items: [Self.node("a", "1")], resourceVersion: "7", next: "more"))
        #expect(watch.failed(Self.refused(410), after: 0, using: &random) == nil)
        watch.paused()
        #expect(watch.step == .list(continuing: nil))
        let news = try watch.take(ObjectPage(items: [Self.node("a", "8")], resourceVersion: "9"))
        #expect(news == [.replaced([Self.node("a", "8")])])
    }

    @Test mutating func goesOnWhereItEnded() throws {
        var watch = try Self.watching()
        #expect(watch.take(.put(Self.node("b", "11"))) == .put(Self.node("b", "11")))
        #expect(watch.take(.removed(Self.node("a", "12"))) == .removed("a"))
        #expect(watch.take(.bookmark("40")) == nil)
        #expect(watch.take(.other) == nil)
        watch.ended(after: 300, using: &random)
        #expect(watch.step == .watch(from: "40"))
    }

    /// A server that ends each watch at once is not asked without pause.
    @Test mutating func shortWatchesMakePausesGrow() throws {
        var watch = try Self.watching()
        var longest = 0.0
        for _ in 0..<5 {
            watch.ended(after: 0.1, using: &random)
            guard case .pause(let seconds) = watch.step else { throw TooLate(what: "no pause") }
            longest = max(longest, seconds)
            watch.paused()
            #expect(watch.step == .watch(from: "10"))
            #expect(watch.watching() == [])
        }
        #expect(longest >= 4 && longest <= 8)
        watch.ended(after: 300, using: &random)
        #expect(watch.step == .watch(from: "10"))
        watch.ended(after: 0.1, using: &random)
        guard case .pause(let seconds) = watch.step else { throw TooLate(what: "no pause") }
        #expect(seconds <= 1)
    }

    @Test(arguments: [410, 400, 404]) mutating func listsAgain(code: Int) throws {
        var watch = try Self.watching()
        let news = watch.failed(Self.refused(code), after: 0, using: &random)
        #expect(news == nil)
        watch.paused()
        #expect(watch.step == .list(continuing: nil))
    }

    @Test(arguments: [401, 403, 429, 500, 503, 504]) mutating func keepsItsPlace(code: Int) throws {
        var watch = try Self.watching()
        _ = watch.take(.bookmark("20"))
        _ = watch.failed(Self.refused(code), after: 0, using: &random)
        watch.paused()
        #expect(watch.step == .watch(from: "20"))
    }

    @Test mutating func waitsAsLongAsItIsAsked() throws {
        var watch = try Self.watching()
        _ = watch.failed(Self.refused(429, retryAfter: 30), after: 0, using: &random)
        guard case .pause(let seconds) = watch.step else { throw TooLate(what: "no pause") }
        #expect((30...31).contains(seconds))
        watch.paused()
        _ = watch.failed(Self.refused(429, retryAfter: 1e9), after: 0, using: &random)
        guard case .pause(let bounded) = watch.step else { throw TooLate(what: "no pause") }
        #expect(bounded <= 308)
    }

    @Test mutating func tellsOnceThatItIsAwayAndOnceThatItIsBack() throws {
        var watch = try Self.watching()
        let broken = KubernetesError.unreachable("watch", "Connection reset by peer")
        var told: [News] = []
        for _ in 0..<10 {
            told += [watch.failed(broken, after: 0, using: &random)].compactMap(\.self)
            watch.paused()
        }
        // The first is a stream that broke, as streams do.
        #expect(told == [.unreachable(broken.description)])
        #expect(watch.watching() == [.reachable])
        #expect(watch.watching() == [])
        #expect(watch.failed(broken, after: 100, using: &random) == nil)
    }

    @Test mutating func tellsAtOnceThatItNeverAnswered() {
        var watch = Watch(pauses: Backoff())
        let broken = KubernetesError.unreachable("list", "Connection refused")
        #expect(watch.failed(broken, after: 0, using: &random) == .unreachable(broken.description))
        watch.paused()
        #expect(watch.step == .list(continuing: nil))
    }

    @Test func moreObjectsThanAnyClusterHasAreRefused() throws {
        var watch = Watch(pauses: Backoff())
        let many = (0..<Watch.most).map { Self.node("n\($0)", "1") }
        #expect(try watch.take(ObjectPage(items: many, resourceVersion: "1", next: "more")) == [])
        #expect(throws: KubernetesError.self) {
            try watch.take(ObjectPage(items: [Self.node("x", "1")], resourceVersion: "1"))
        }
    }
}
