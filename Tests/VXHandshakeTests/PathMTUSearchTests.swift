import Testing
import VXWire

@testable import VXHandshake

/// DPLPMTUD on a path of any size, on virtual time.
@Suite struct PathMTUSearchTests {
    /// A search over a path that carries `pathMTU` and answers in 20 ms; traffic all the time.
    private struct Path {
        var search: PathMTUSearch
        var milliseconds: UInt64 = 1_000
        var pathMTU: Int
        var losesNext = 0
        var probes = 0

        init(interface: Int, path: Int) {
            pathMTU = path
            let now = Instant(nanoseconds: 1_000_000_000)
            search = PathMTUSearch(interfaceMTU: interface, roundTrip: nil, firstIdentifier: 7, now: now)
        }

        mutating func run(seconds: UInt64) {
            for _ in 0..<seconds * 10 {
                milliseconds += 100
                let now = Instant(nanoseconds: milliseconds * 1_000_000)
                for probe in search.probes(now: now, hasTraffic: true) {
                    probes += 1
                    if losesNext > 0 {
                        losesNext -= 1
                    } else if probe.size <= pathMTU {
                        search.acknowledge(size: probe.size, identifier: probe.identifier, now: now)
                    }
                }
            }
        }
    }

    @Test("a path as wide as the interface is found with one probe")
    func whole() {
        var path = Path(interface: 1500, path: 1500)
        path.run(seconds: 5)
        #expect(path.search.current == 1500 && path.probes == 1)
    }

    @Test("any smaller path is found to within four bytes, and never overestimated", arguments: 1280...1500)
    func smaller(mtu: Int) {
        var path = Path(interface: 1500, path: mtu)
        path.run(seconds: 4)
        #expect(path.search.current <= mtu, "a black hole is left within four seconds")
        path.run(seconds: 20)
        #expect((mtu - 4...mtu).contains(path.search.current))
    }

    @Test("jumbo frames", arguments: [1500, 4352, 8900, 9000])
    func jumbo(mtu: Int) {
        var path = Path(interface: 9000, path: mtu)
        path.run(seconds: 30)
        #expect((mtu - 4...mtu).contains(path.search.current))
    }

    @Test("a path that shrinks is noticed within fourteen seconds under traffic, one that grows within ten minutes")
    func changes() {
        var path = Path(interface: 1500, path: 1500)
        path.run(seconds: 30)
        path.pathMTU = 1400
        path.run(seconds: 14)
        #expect(path.search.current <= 1400)
        path.run(seconds: 10)
        #expect((1396...1400).contains(path.search.current))
        path.pathMTU = 1500
        path.run(seconds: 620)
        #expect(path.search.current >= 1496)
    }

    @Test("two lost probes are no black hole")
    func loss() {
        var path = Path(interface: 1500, path: 1500)
        path.run(seconds: 5)
        path.losesNext = 2
        path.run(seconds: 30)
        #expect(path.search.current == 1500)
    }

    @Test("the interface's MTU bounds it at once")
    func interface() {
        var path = Path(interface: 1500, path: 1500)
        path.run(seconds: 5)
        path.search.setInterfaceMTU(1400, now: Instant(nanoseconds: path.milliseconds * 1_000_000))
        #expect(path.search.current == 1400)
        path.search.setInterfaceMTU(1500, now: Instant(nanoseconds: path.milliseconds * 1_000_000))
        path.run(seconds: 5)
        #expect(path.search.current == 1500)
    }
}
