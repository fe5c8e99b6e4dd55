/// Writes metrics as text: one family after the other, each with its description and all of its samples.
public struct ExpositionWriter {
    /// What was written so far.
    public private(set) var bytes: [UInt8] = []
    /// Which text it is.
    public let format: ExpositionFormat
    private var family: MetricFamily?
    /// The name of the family's samples.
    private var name: [UInt8] = []
    private var described: Set<String> = []

    /// - Parameters:
    ///   - format: which text it is.
    ///   - capacity: for so many bytes there is room at once.
    public init(_ format: ExpositionFormat, capacity: Int = 64 << 10) {
        self.format = format
        bytes.reserveCapacity(capacity)
    }

    /// Begins a family; the samples that follow are its own. No family stands twice.
    public mutating func begin(_ family: MetricFamily) {
        precondition(described.insert(family.name).inserted, "the family \(family.name) is written twice")
        self.family = family
        name = Array(family.name.utf8)
        let isOpen = format == .openMetrics
        let title = isOpen ? family.openMetricsName : family.name
        // The older text knows no information, which is a gauge there.
        let kind = !isOpen && family.kind == .info ? MetricFamily.Kind.gauge : family.kind
        add("# HELP \(title) \(Self.escaped(family.help, quotes: isOpen))\n# TYPE \(title) \(kind.rawValue)\n")
        if isOpen, let unit = family.unit { add("# UNIT \(title) \(unit)\n") }
    }

    /// A sample of a count.
    public mutating func add(_ labels: LabelSet, _ value: UInt64) {
        start(labels)
        append(decimal: value)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// A sample of a number of things.
    public mutating func add(_ labels: LabelSet, _ value: Int) {
        start(labels)
        append(integer: value)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// A sample of a fact: 1 for true.
    public mutating func add(_ labels: LabelSet, _ value: Bool) { add(labels, value ? 1 : 0) }

    /// A sample of a measure.
    public mutating func add(_ labels: LabelSet, _ value: Double) {
        start(labels)
        append(value)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// A sample of `vxseal_…_info`.
    public mutating func addInfo(_ labels: LabelSet) { add(labels, 1) }

    /// The samples of a histogram.
    /// - Parameters:
    ///   - bounds: the upper bounds, rising; what is above the last is counted too.
    ///   - counts: how many observations there are at or below each bound and above the one before; one more than bounds.
    ///   - sum: of all observations.
    public mutating func addHistogram(_ labels: LabelSet, bounds: [Double], counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1, "a count for each bound, and one for what is above")
        var total: UInt64 = 0
        for (place, count) in counts.enumerated() {
            total += count
            let bound = place < bounds.count ? "\(bounds[place])" : "+Inf"
            start(labels.with("le", bound), suffix: "_bucket")
            append(decimal: total)
            bytes.append(UInt8(ascii: "\n"))
        }
        start(labels, suffix: "_sum")
        append(sum)
        bytes.append(UInt8(ascii: "\n"))
        start(labels, suffix: "_count")
        append(decimal: total)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Ends the text as the format wants it, and returns it.
    public consuming func finish() -> [UInt8] {
        if format == .openMetrics { add("# EOF\n") }
        return bytes
    }

    // MARK: - Bytes

    private mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func start(_ labels: LabelSet, suffix: StaticString? = nil) {
        precondition(family != nil, "a sample belongs to a family")
        bytes.append(contentsOf: name)
        if let suffix { add(suffix.description) }
        if !labels.bytes.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes.append(contentsOf: labels.bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
    }

    private mutating func append(integer value: Int) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(decimal: UInt64(value.magnitude))
    }

    private mutating func append(decimal value: UInt64) {
        let start = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private mutating func append(_ value: Double) {
        if value.isNaN {
            add("NaN")
        } else if value.isInfinite {
            add(value > 0 ? "+Inf" : "-Inf")
        } else if let whole = Int(exactly: value), whole.magnitude < 1 << 53 {
            append(integer: whole)
        } else {
            add(value.description)
        }
    }

    /// A description in one line.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.append(character)
            }
        }
        return result
    }
}
