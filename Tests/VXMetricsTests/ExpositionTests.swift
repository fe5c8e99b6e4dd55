import Testing
import VXMetrics

@Suite struct ExpositionTests {
    private static let bytes = MetricFamily(
        "vxseal_peer_sent_bytes_total",
        .counter,
        #"Bytes \ of "frames"."#,
        by: ["peer"]
    )
    private static let build = MetricFamily("vxseal_build_info", .info, "The version.", by: ["version"])
    private static let gauge = MetricFamily("vxseal_ready", .gauge, "One when ready.")
    private static let histogram = MetricFamily("vxseal_wait_seconds", .histogram, "How long.", by: ["of"])

    private func text(_ format: ExpositionFormat, _ body: (inout ExpositionWriter) -> Void) -> String {
        var writer = ExpositionWriter(format)
        body(&writer)
        return String(decoding: writer.finish(), as: UTF8.self)
    }

    private func all(_ writer: inout ExpositionWriter) {
        writer.begin(Self.bytes)
        writer.add(LabelSet((name: "peer", value: "a\"b\\c\nd")), UInt64.max)
        writer.add(LabelSet((name: "peer", value: "é")), 0 as UInt64)
        writer.begin(Self.build)
        writer.addInfo(LabelSet((name: "version", value: "1")))
        writer.begin(Self.gauge)
        writer.add(.none, true)
    }

    @Test func prometheusText() {
        #expect(
            text(.text, all) == #"""
                # HELP vxseal_peer_sent_bytes_total Bytes \\ of "frames".
                # TYPE vxseal_peer_sent_bytes_total counter
                vxseal_peer_sent_bytes_total{peer="a\"b\\c\nd"} 18446744073709551615
                vxseal_peer_sent_bytes_total{peer="é"} 0
                # HELP vxseal_build_info The version.
                # TYPE vxseal_build_info gauge
                vxseal_build_info{version="1"} 1
                # HELP vxseal_ready One when ready.
                # TYPE vxseal_ready gauge
                vxseal_ready 1

                """#
        )
    }

    @Test func openMetrics() {
        #expect(
            text(.openMetrics, all) == #"""
                # HELP vxseal_peer_sent_bytes Bytes \\ of \"frames\".
                # TYPE vxseal_peer_sent_bytes counter
                # UNIT vxseal_peer_sent_bytes bytes
                vxseal_peer_sent_bytes_total{peer="a\"b\\c\nd"} 18446744073709551615
                vxseal_peer_sent_bytes_total{peer="é"} 0
                # HELP vxseal_build The version.
                # TYPE vxseal_build info
                vxseal_build_info{version="1"} 1
                # HELP vxseal_ready One when ready.
                # TYPE vxseal_ready gauge
                vxseal_ready 1
                # EOF

                """#
        )
    }

    @Test func histogram() {
        let written = text(.text) { writer in
            writer.begin(Self.histogram)
            writer.addHistogram(
                LabelSet((name: "of", value: "x")),
                bounds: [0.5, 1],
                counts: [2, 0, 3],
                sum: 7.25
            )
        }
        #expect(
            written.split(separator: "\n").dropFirst(2) == [
                #"vxseal_wait_seconds_bucket{of="x",le="0.5"} 2"#, #"vxseal_wait_seconds_bucket{of="x",le="1.0"} 2"#,
                #"vxseal_wait_seconds_bucket{of="x",le="+Inf"} 5"#, #"vxseal_wait_seconds_sum{of="x"} 7.25"#,
                #"vxseal_wait_seconds_count{of="x"} 5"#,
            ]
        )
    }

    @Test(arguments: [
        (0.0, "0"), (-3.0, "-3"), (0.00031, "0.00031"), (0.00001, "1e-05"), (1_764_108_691.125, "1764108691.125"),
        (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
    ])
    func numbers(value: Double, expected: String) {
        let written = text(.text) { writer in
            writer.begin(Self.gauge)
            writer.add(.none, value)
        }
        #expect(written.hasSuffix("\nvxseal_ready \(expected)\n"))
    }

    @Test func signedNumbers() {
        let written = text(.text) { writer in
            writer.begin(Self.gauge)
            writer.add(.none, Int.min)
        }
        #expect(written.hasSuffix("\nvxseal_ready -9223372036854775808\n"))
    }

    @Test(arguments: [
        (nil, ExpositionFormat.text), ("", .text), ("*/*", .text), ("application/json", .text),
        ("application/openmetrics-text", .openMetrics), ("Application/OpenMetrics-Text; Version=1.0.0", .openMetrics),
        ("application/openmetrics-text;version=0.0.1", .text), ("application/openmetrics-text;q=0", .text),
        ("text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.4", .text),
        ("text/plain;version=0.0.4;q=0.3, application/openmetrics-text;q=0.4", .openMetrics),
        (",;,q=1,application/openmetrics-text;q=x,;=", .text),
        // What Prometheus 2.42 sends.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
        ),
    ])
    func negotiation(accept: String?, expected: ExpositionFormat) {
        #expect(ExpositionFormat(accept: accept) == expected)
    }
}
