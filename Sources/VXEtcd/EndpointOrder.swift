/// In which order endpoints are asked: one that failed is the last, until another has failed too.
struct EndpointOrder: Sendable, Equatable {
    /// All of them, the best first.
    private(set) var all: [String]

    init(_ endpoints: [String]) { all = endpoints }

    /// It did not answer.
    mutating func failed(_ endpoint: String) {
        guard let place = all.firstIndex(of: endpoint) else { return }
        all.append(all.remove(at: place))
    }
}
