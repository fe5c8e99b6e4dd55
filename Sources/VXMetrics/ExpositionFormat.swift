/// In which text metrics are told.
public enum ExpositionFormat: Sendable, CaseIterable {
    /// Prometheus' own, version 0.0.4.
    case text
    /// OpenMetrics 1.0.
    case openMetrics

    /// What the answer's `Content-Type` says.
    public var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The format that a request's `Accept` prefers (RFC 9110, 12.5.1); Prometheus' own where it names neither, since whoever
    /// asks with a browser or curl wants to read something.
    public init(accept: String?) {
        var best = (format: ExpositionFormat.text, quality: 0.0)
        for range in (accept ?? "").split(separator: ",") {
            guard let range = MediaRange(range), range.quality > best.quality, let format = range.format else {
                continue
            }
            best = (format, range.quality)
        }
        self = best.format
    }

    /// One of the kinds that `Accept` lists.
    private struct MediaRange {
        var format: ExpositionFormat?
        var quality = 1.0

        init?(_ text: Substring) {
            let parts = text.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let type = parts.first else { return nil }
            var version: String?
            for parameter in parts.dropFirst() {
                let halves = parameter.split(separator: "=", maxSplits: 1)
                guard halves.count == 2 else { continue }
                if halves[0] == "q" { quality = Double(halves[1]) ?? 0 }
                if halves[0] == "version" { version = String(halves[1]) }
            }
            switch type {
            case "application/openmetrics-text": format = [nil, "1.0.0"].contains(version) ? .openMetrics : nil
            case "text/plain": format = [nil, "0.0.4"].contains(version) ? .text : nil
            case "text/*", "*/*": format = .text
            default: format = nil
            }
        }
    }
}
