import Metrics
import Testing
import VXMetrics

@Suite struct RegistryTests {
    private static let families = [
        MetricFamily("vxseal_reloads_total", .counter, "Reloads.", by: ["result"]),
        MetricFamily("vxseal_last_reload_successful", .gauge, "The last."),
        MetricFamily("vxseal_answer_duration_seconds", .histogram, "Durations.", by: ["listener"]),
    ]

    private func lines(of registry: MetricsRegistry) -> [Substring] {
        var writer = ExpositionWriter(.text)
        registry.write(Self.families, to: &writer)
        return String(decoding: writer.finish(), as: UTF8.self).split(separator: "\n").filter { $0.first != "#" }
    }

    @Test func countersAndGauges() {
        let registry = MetricsRegistry(Self.families)
        #expect(lines(of: registry).isEmpty)
        for result in ["refused", "applied", "applied"] {
            Counter(label: "vxseal_reloads_total", dimensions: [("result", result)], factory: registry).increment()
        }
        let gauge = Recorder(
            label: "vxseal_last_reload_successful",
            dimensions: [],
            aggregate: false,
            factory: registry
        )
        gauge.record(1)
        gauge.record(0)
        #expect(
            lines(of: registry) == [
                #"vxseal_reloads_total{result="applied"} 2"#, #"vxseal_reloads_total{result="refused"} 1"#,
                "vxseal_last_reload_successful 0",
            ]
        )
    }

    @Test func timersAreHistograms() {
        let registry = MetricsRegistry(Self.families)
        let timer = Timer(
            label: "vxseal_answer_duration_seconds",
            dimensions: [("listener", "admin")],
            factory: registry
        )
        for nanoseconds: Int64 in [500_000, 1_000_000, 30_000_000, 9_000_000_000] {
            timer.recordNanoseconds(nanoseconds)
        }
        let lines = lines(of: registry)
        #expect(lines.first == #"vxseal_answer_duration_seconds_bucket{listener="admin",le="0.001"} 2"#)
        #expect(lines.contains(#"vxseal_answer_duration_seconds_bucket{listener="admin",le="0.1"} 3"#))
        #expect(lines.contains(#"vxseal_answer_duration_seconds_bucket{listener="admin",le="+Inf"} 4"#))
        #expect(lines.last == #"vxseal_answer_duration_seconds_count{listener="admin"} 4"#)
    }

    @Test func nothingElseIsKept() {
        let registry = MetricsRegistry(Self.families)
        // Another name, other labels, another kind.
        Counter(label: "hb.requests", dimensions: [], factory: registry).increment()
        Counter(label: "vxseal_reloads_total", dimensions: [("who", "x")], factory: registry).increment()
        Counter(label: "vxseal_last_reload_successful", dimensions: [], factory: registry).increment()
        #expect(lines(of: registry).isEmpty)
    }

    @Test func seriesAreBounded() {
        let registry = MetricsRegistry(Self.families)
        for number in 0..<10 * MetricsRegistry.mostSeries {
            Counter(label: "vxseal_reloads_total", dimensions: [("result", "\(number)")], factory: registry).increment()
        }
        #expect(lines(of: registry).count == MetricsRegistry.mostSeries)
    }
}
