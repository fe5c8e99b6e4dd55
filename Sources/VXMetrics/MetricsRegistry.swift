public import CoreMetrics
import Synchronization

/// What the daemon and its libraries count through swift-metrics, for the exposition.
///
/// Only families that were named at the start are kept, each with a bounded number of label sets, so that nobody's labels can
/// fill memory; everything else is counted nowhere.
public final class MetricsRegistry: MetricsFactory, Sendable {
    /// Most series of one family.
    public static let mostSeries = 64
    /// Upper bounds of a timer's histogram, in seconds.
    public static let bounds = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5]

    private let families: [String: MetricFamily]
    private let series: Mutex<[String: [LabelSet: Series]]>

    /// For these families and no others.
    public init(_ families: [MetricFamily]) {
        self.families = Dictionary(uniqueKeysWithValues: families.map { ($0.name, $0) })
        series = Mutex([:])
    }

    /// Writes every family that has a series, in the order of `families`.
    public func write(_ families: [MetricFamily], to writer: inout ExpositionWriter) {
        let all = series.withLock { $0 }
        for family in families {
            guard let members = all[family.name] else { continue }
            writer.begin(family)
            for (labels, series) in members.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }) {
                series.write(labels, to: &writer)
            }
        }
    }

    private func find(_ name: String, _ dimensions: [(String, String)], _ kind: MetricFamily.Kind) -> Series? {
        guard let family = families[name], family.kind == kind, family.labels == dimensions.map(\.0) else { return nil }
        let labels = LabelSet(dimensions.map { (name: $0.0, value: $0.1) })
        return series.withLock { all in
            if let known = all[name]?[labels] { return known }
            guard all[name, default: [:]].count < Self.mostSeries else { return nil }
            let new = Series(kind)
            all[name, default: [:]][labels] = new
            return new
        }
    }

    /// A counter of a known family.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        find(label, dimensions, .counter) ?? NOOPMetricsHandler.instance
    }

    /// A gauge of a known family; distributions are only kept of times.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard !aggregate, let gauge = find(label, dimensions, .gauge) else { return NOOPMetricsHandler.instance }
        return gauge
    }

    /// A histogram of a known family.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        find(label, dimensions, .histogram) ?? NOOPMetricsHandler.instance
    }

    /// Series stay for the life of the process, so that no count is lost.
    public func destroyCounter(_ handler: any CounterHandler) {}
    /// Series stay for the life of the process.
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    /// Series stay for the life of the process.
    public func destroyTimer(_ handler: any TimerHandler) {}
}

/// One series: a count, a value, or observations of times.
private final class Series: CounterHandler, RecorderHandler, TimerHandler, Sendable {
    private struct Numbers {
        var count: UInt64 = 0
        var value = 0.0
        var buckets = [UInt64](repeating: 0, count: MetricsRegistry.bounds.count + 1)
        var sum = 0.0
    }

    private let kind: MetricFamily.Kind
    private let numbers = Mutex(Numbers())

    init(_ kind: MetricFamily.Kind) { self.kind = kind }

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        numbers.withLock { $0.count &+= UInt64(amount) }
    }

    /// A counter of Prometheus only grows.
    func reset() {}

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) { numbers.withLock { $0.value = value } }

    func recordNanoseconds(_ duration: Int64) {
        let seconds = Double(max(duration, 0)) / 1e9
        let place = MetricsRegistry.bounds.firstIndex { seconds <= $0 } ?? MetricsRegistry.bounds.count
        numbers.withLock { numbers in
            numbers.buckets[place] += 1
            numbers.sum += seconds
        }
    }

    func write(_ labels: LabelSet, to writer: inout ExpositionWriter) {
        let numbers = numbers.withLock { $0 }
        switch kind {
        case .counter: writer.add(labels, numbers.count)
        case .gauge, .info: writer.add(labels, numbers.value)
        case .histogram:
            writer.addHistogram(
                labels,
                bounds: MetricsRegistry.bounds,
                counts: numbers.buckets,
                sum: numbers.sum
            )
        }
    }
}
