import VXControl

/// When an etcd lease is to be kept alive: after a quarter to a third of its time, at random, so that the nodes of a cluster
/// that started together do not come together; after a failure soon again, so that it is asked for many times before it ends.
/// That it has ended only etcd can tell: it gives leases more time when it was away itself.
struct LeaseClock: Sendable {
    /// Seconds, on the caller's clock, of the next attempt.
    private(set) var next: Double
    private var pauses: Backoff

    /// - Parameters:
    ///   - seconds: what etcd gives the lease from now.
    ///   - now: seconds on any clock that goes on.
    init(seconds: Double, now: Double, using random: inout some RandomNumberGenerator) {
        pauses = Backoff(first: min(1, seconds / 8), longest: min(60, seconds / 8))
        next = 0
        renewed(seconds: seconds, now: now, using: &random)
    }

    /// It was kept alive.
    mutating func renewed(seconds: Double, now: Double, using random: inout some RandomNumberGenerator) {
        pauses.reset()
        next = now + Double.random(in: seconds / 4...seconds / 3, using: &random)
    }

    /// Etcd could not be asked.
    mutating func failed(now: Double, using random: inout some RandomNumberGenerator) {
        next = now + pauses.pause(using: &random)
    }
}
