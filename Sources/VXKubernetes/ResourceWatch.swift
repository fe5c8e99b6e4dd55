import VXControl

/// What is new of a resource.
enum ResourceNews<Object: APIObject>: Sendable, Equatable {
    /// All objects, in place of those that were told before.
    case replaced([Object])
    /// One that is new or has changed, if perhaps in nothing that matters.
    case put(Object)
    /// One that is gone, by its name.
    case removed(String)
    case unreachable(String)
    case reachable
}

/// Follows a resource: a list in pages, then a watch from the list's version, which is taken up again where it ended,
/// for as long as the API keeps what has happened since. It is told what came, and says what is to be done next.
struct ResourceWatch<Object: APIObject>: Sendable {
    /// What is to be done.
    enum Step: Sendable, Equatable {
        /// Ask for the first page, or the next.
        case list(continuing: String?)
        /// Ask for changes after this version.
        case watch(from: String)
        /// Wait for so many seconds, then call `paused`.
        case pause(Double)
    }

    /// Objects that are kept; a list of more is refused. Kubernetes itself is made for 5,000 nodes.
    static var most: Int { 100_000 }
    /// Seconds that a watch must have lasted to count as a success.
    static var worthwhile: Double { 5 }
    /// Seconds that are waited at the API's own request, at most.
    static var longestRequestedPause: Double { 300 }

    private(set) var step = Step.list(continuing: nil)
    private var afterPause = Step.list(continuing: nil)
    /// What was listed so far.
    private var listed: [Object] = []
    /// What was told is as of this version.
    private var version = ""
    private var isUnreachable = false
    /// It answered when it was last asked: that a stream breaks once need nobody know.
    private var hasAnswered = false
    private var pauses: Backoff

    init(pauses: Backoff) { self.pauses = pauses }

    /// A page came.
    /// - Throws: `KubernetesError` for what must not be gone on with: to be given to `failed`.
    mutating func take(_ page: ObjectPage<Object>) throws(KubernetesError) -> [ResourceNews<Object>] {
        listed += page.items
        guard listed.count <= Self.most else { throw .malformed("list", "more than \(Self.most) objects") }
        if let next = page.next {
            step = .list(continuing: next)
            return []
        }
        guard !page.resourceVersion.isEmpty else { throw .malformed("list", "it has no resourceVersion") }
        defer { listed = [] }
        version = page.resourceVersion
        step = .watch(from: version)
        return [.replaced(listed)] + answered()
    }

    /// A watch has begun.
    mutating func watching() -> [ResourceNews<Object>] { answered() }

    private mutating func answered() -> [ResourceNews<Object>] {
        hasAnswered = true
        guard isUnreachable else { return [] }
        isUnreachable = false
        return [.reachable]
    }

    /// A line came.
    mutating func take(_ event: WatchEvent<Object>) -> ResourceNews<Object>? {
        switch event {
        case .put(let object):
            advance(object.resourceVersion)
            return .put(object)
        case .removed(let object):
            advance(object.resourceVersion)
            return .removed(object.name)
        case .bookmark(let version):
            advance(version)
            return nil
        case .failed, .other: return nil
        }
    }

    private mutating func advance(_ new: String) {
        if !new.isEmpty { version = new }
    }

    /// The watch ended as watches do.
    /// - Parameter seconds: how long it lasted. One that ends at once is not begun at once again.
    mutating func ended(after seconds: Double, using random: inout some RandomNumberGenerator) {
        if seconds >= Self.worthwhile {
            pauses.reset()
            step = .watch(from: version)
        } else {
            pause(then: .watch(from: version), atLeast: nil, using: &random)
        }
    }

    /// A list or watch failed.
    /// - Parameters:
    ///   - error: how.
    ///   - seconds: how long the watch lasted; 0 for a list.
    mutating func failed(
        _ error: KubernetesError,
        after seconds: Double,
        using random: inout some RandomNumberGenerator
    ) -> ResourceNews<Object>? {
        if seconds >= Self.worthwhile { pauses.reset() }
        listed = []
        pause(then: resumption(after: error), atLeast: error.retryAfter, using: &random)
        // What is no longer kept is no failure: nor is a page's, whose list is begun again.
        if error.isGone { return nil }
        guard !isUnreachable, !hasAnswered else {
            hasAnswered = false
            return nil
        }
        isUnreachable = true
        return .unreachable(error.description)
    }

    /// The watch goes on where it was, unless that is what was wrong with it.
    private func resumption(after error: KubernetesError) -> Step {
        guard !version.isEmpty, case .watch = step else { return .list(continuing: nil) }
        switch error {
        case .refused(let refusal):
            return [401, 403, 429].contains(refusal.code) || refusal.code >= 500
                ? .watch(from: version) : .list(continuing: nil)
        case .unreachable, .settings: return .watch(from: version)
        case .malformed: return .list(continuing: nil)
        }
    }

    private mutating func pause(
        then next: Step,
        atLeast requested: Double?,
        using random: inout some RandomNumberGenerator
    ) {
        let pause = pauses.pause(using: &random)
        // What was asked of all nodes at once is not done by all at once.
        let extra = requested.map { min(max($0, 0), Self.longestRequestedPause) } ?? 0
        afterPause = next
        step = .pause(pause + extra)
    }

    /// The pause is over.
    mutating func paused() { step = afterPause }
}
