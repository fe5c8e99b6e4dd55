import Foundation
import Synchronization
import VXControl

/// One run of the directory: tells what the others publish, and keeps the own lease alive.
actor LeaseFollower {
    private let id: String
    private let own: OwnLease?
    private let client: EtcdClient
    private let keys: EtcdKeys
    private let timing: EtcdDirectory.Timing
    private let tell: @Sendable (DirectoryEvent) async -> Void
    private let gate = Gate()
    private var table: LeaseTable
    /// What was told is as of this revision of this cluster; nil where it has to be listed.
    private var revision: Int64?
    private var cluster = ""
    private var isUnreachable = false
    private var isLost = false
    /// Whether the own keys are known to be what this node wrote.
    private var isVerified = false
    /// Whether the last attempt got as far as a watch that was established.
    private var isWatching = false
    private var pauses: Backoff

    init(
        id: String,
        own: OwnLease?,
        client: EtcdClient,
        keys: EtcdKeys,
        timing: EtcdDirectory.Timing,
        tell: @escaping @Sendable (DirectoryEvent) async -> Void
    ) {
        self.id = id
        self.own = own
        self.client = client
        self.keys = keys
        self.timing = timing
        self.tell = tell
        table = LeaseTable(keys)
        pauses = timing.pauses
    }

    /// Ends by cancellation alone.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.keepAlive() }
            group.addTask { try await self.follow() }
            try await group.waitForAll()
        }
    }

    // MARK: - The own lease

    private func keepAlive() async throws {
        while let own, let next = await own.nextRenewal {
            try await Task.sleep(for: .seconds(max(0, next - OwnLease.now)))
            // What keeps it from etcd is told by the watch.
            await tellIfLost(await own.renew().state)
        }
    }

    /// Looks at the own keys, until etcd has told how they are.
    private func verify() async throws {
        guard let own else { return await tellIfLost(.lost("the lease \(id) was not acquired by this process")) }
        let (state, failure) = await own.verify()
        if let failure { throw failure }
        isVerified = true
        await tellIfLost(state)
    }

    private func tellIfLost(_ state: OwnLease.State) async {
        guard case .lost(let why) = state, !isLost else { return }
        isLost = true
        await say(.lost(why))
    }

    // MARK: - The others'

    private func follow() async throws {
        var random = SystemRandomNumberGenerator()
        while true {
            do {
                if revision == nil { try await list() }
                try await watch()
            } catch {
                try Task.checkCancellation()
                if let error = error as? EtcdError { await take(error) }
            }
            try await Task.sleep(for: .seconds(pauses.pause(using: &random)))
        }
    }

    private func take(_ error: EtcdError) async {
        switch error {
        case .compacted, .tooLarge: revision = nil
        case .unreachable, .refused, .tooMany, .settings: break
        }
        guard !isUnreachable, !isWatching else {
            // A watch that ended is taken up again at another member, and nobody need know unless that fails.
            isWatching = false
            return
        }
        if case .compacted = error { return }
        isUnreachable = true
        await say(.unreachable(error.description))
    }

    private func list() async throws {
        let listing = try await client.list(EtcdRange(prefix: keys.all))
        table = LeaseTable(keys, listing.entries)
        revision = listing.revision
        cluster = listing.cluster
        isVerified = false
        for event in table.snapshot { await say(event) }
        await reached()
    }

    private func reached() async {
        guard isUnreachable else { return }
        isUnreachable = false
        await say(.reachable)
    }

    private func say(_ event: DirectoryEvent) async {
        await gate.pass { [tell] in await tell(event) }
    }

    private func watch() async throws {
        guard let from = revision else { return }
        let watch = try await client.watch(EtcdRange(prefix: keys.all), from: from + 1)
        let heard = Heard()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.read(watch, heard) }
                group.addTask { try await self.guardAgainstSilence(watch, heard) }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch let error as EtcdError {
            if error.isOfMember { await client.failed(watch.endpoint) }
            throw error
        }
    }

    private func read(_ watch: EtcdWatch, _ heard: Heard) async throws {
        for try await message in watch {
            heard.now()
            switch message {
            case .created(let current, let of):
                // A member that is behind what was told, or is of a cluster that was set up anew: what it would tell is not what
                // follows.
                guard current >= revision ?? 0, of == cluster else {
                    revision = nil
                    throw EtcdError.compacted
                }
                isWatching = true
                await reached()
                if !isVerified { try await verify() }
            case .events(let events, let current):
                pauses.reset()
                for event in table.apply(events) { await say(event) }
                revision = max(current, revision ?? 0)
                guard table.count <= LeaseTable.most else { throw EtcdError.tooLarge(watch.endpoint) }
                try await look(at: events)
            case .progress(let current):
                pauses.reset()
                revision = max(current, revision ?? 0)
            }
        }
    }

    /// What others do to the own keys.
    private func look(at events: [WatchReply.Event]) async throws {
        guard let own, !isLost else { return }
        let mine = [Data(keys.lease(id).utf8), Data(keys.record(id).utf8)]
        for event in events where mine.contains(event.kv.key) {
            if await !own.expects(event) { isVerified = false }
        }
        if !isVerified { try await verify() }
    }

    private func guardAgainstSilence(_ watch: EtcdWatch, _ heard: Heard) async throws {
        try await Task.sleep(for: .seconds(timing.opening))
        guard heard.last != nil else { throw EtcdError.unreachable(watch.endpoint, "it does not begin the watch") }
        while true {
            try await Task.sleep(for: .seconds(Double.random(in: timing.silence / 2...timing.silence)))
            guard let last = heard.last, last.duration(to: .now) >= .seconds(timing.silence / 2) else { continue }
            try await client.probe(watch.endpoint, keys.configuration)
        }
    }

    /// When a watch was last heard of.
    private final class Heard: Sendable {
        private let instant = Mutex<ContinuousClock.Instant?>(nil)
        var last: ContinuousClock.Instant? { instant.withLock(\.self) }
        func now() { instant.withLock { $0 = .now } }
    }
}
