import Metrics
import NIOCore

/// Counts what a listener answered, through swift-metrics.
struct AnswerLog: Sendable {
    /// `admin` or `metrics`.
    let listener: String

    /// An answer begins.
    /// - Parameters:
    ///   - status: HTTP's.
    ///   - duration: since the request's headers were there.
    func note(status: Int, duration: TimeAmount) {
        Counter(
            label: "vxseal_http_answers_total",
            dimensions: [("listener", listener), ("code", String(status))]
        ).increment()
        Timer(label: "vxseal_http_answer_duration_seconds", dimensions: [("listener", listener)]).recordNanoseconds(
            duration.nanoseconds
        )
    }

    /// A client was too slow, and lost its connection.
    func noteTimeout() {
        Counter(label: "vxseal_http_timeouts_total", dimensions: [("listener", listener)]).increment()
    }
}
