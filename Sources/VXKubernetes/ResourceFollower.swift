import VXControl

/// Follows a resource of the API until the task is cancelled, as `ResourceWatch` says.
struct ResourceFollower<Object: APIObject>: Sendable {
    let client: KubernetesClient
    /// The only object that is wanted; nil for all.
    var only: String?

    /// - Parameter tell: takes the news, one after the other; what it throws ends the work.
    nonisolated(nonsending) func run(_ tell: (ResourceNews<Object>) async throws -> Void) async throws {
        var watch = ResourceWatch<Object>(pauses: client.timing.pauses)
        var random = SystemRandomNumberGenerator()
        while true {
            try Task.checkCancellation()
            let start = ContinuousClock.now
            do {
                switch watch.step {
                case .pause(let seconds):
                    try await Task.sleep(for: .seconds(seconds))
                    watch.paused()
                case .list(let token):
                    let page: ObjectPage<Object> = try await client.list(only: only, continuing: token)
                    for news in try watch.take(page) { try await tell(news) }
                case .watch(let version):
                    let stream = try await client.watch(Object.self, only: only, from: version)
                    for news in watch.watching() { try await tell(news) }
                    for try await event in stream {
                        if let news = watch.take(event) { try await tell(news) }
                    }
                    watch.ended(after: Self.seconds(since: start), using: &random)
                }
            } catch let error as KubernetesError {
                try Task.checkCancellation()
                if let news = watch.failed(error, after: Self.seconds(since: start), using: &random) {
                    try await tell(news)
                }
            }
        }
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double {
        start.duration(to: .now) / .seconds(1)
    }
}
