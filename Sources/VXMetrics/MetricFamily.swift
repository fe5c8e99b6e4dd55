/// A metric as Prometheus knows it: a name, what it counts, and the labels that tell its series apart.
public struct MetricFamily: Sendable, Hashable {
    /// How its values behave.
    public enum Kind: String, Sendable {
        /// Only grows, until the process starts anew; its name ends in `_total`.
        case counter
        /// Any value.
        case gauge
        /// Always 1, with what is to be told in the labels; its name ends in `_info`.
        case info
        /// Observations by upper bounds, with their sum and number.
        case histogram
    }

    /// The name of its samples; a histogram's have `_bucket`, `_sum` or `_count` behind it.
    public let name: String
    /// How its values behave.
    public let kind: Kind
    /// The names of its labels, in the order in which they are written.
    public let labels: [String]
    /// What it means, in a sentence; one line.
    public let help: String

    /// From its parts.
    public init(_ name: String, _ kind: Kind, _ help: String, by labels: [String] = []) {
        precondition(Self.isFitting(name, kind), "the name \(name) does not fit a \(kind)")
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }

    private static func isFitting(_ name: String, _ kind: Kind) -> Bool {
        switch kind {
        case .counter: name.hasSuffix("_total")
        case .info: name.hasSuffix("_info")
        case .gauge, .histogram: !name.hasSuffix("_total") && !name.hasSuffix("_info")
        }
    }

    /// The name that OpenMetrics 1.0 describes the family by: without `_total` and `_info`.
    public var openMetricsName: String {
        switch kind {
        case .counter: String(name.dropLast("_total".count))
        case .info: String(name.dropLast("_info".count))
        case .gauge, .histogram: name
        }
    }

    /// The unit that the name ends in, for OpenMetrics; nil for what is counted in pieces.
    public var unit: String? { ["seconds", "bytes"].first { openMetricsName.hasSuffix("_" + $0) } }
}
