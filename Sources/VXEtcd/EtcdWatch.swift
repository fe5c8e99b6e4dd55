import AsyncHTTPClient
import Foundation
import NIOCore
import VXControl

/// What etcd tells of a range's changes, from one member, until the stream ends: with `EtcdError.compacted` where what was asked
/// for is no longer kept, else with what befell the stream. It never ends without an error.
struct EtcdWatch: AsyncSequence, Sendable {
    /// A line.
    enum Message: Sendable {
        /// The watch is established; the member's own revision, and its cluster.
        case created(revision: Int64, cluster: String)
        /// Changes, in their order, all that there are up to a revision.
        case events([WatchReply.Event], revision: Int64)
        /// Nothing has changed up to a revision.
        case progress(revision: Int64)
    }

    /// The member that tells.
    let endpoint: String
    private let body: HTTPClientResponse.Body

    init(endpoint: String, body: HTTPClientResponse.Body) {
        self.endpoint = endpoint
        self.body = body
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let endpoint: String
        fileprivate var pieces: HTTPClientResponse.Body.AsyncIterator
        fileprivate var lines = LineSplitter(limit: EtcdTransport.lineLimit)
        /// Events of a revision that comes in several lines.
        fileprivate var fragments: [WatchReply.Event] = []
        /// Bytes of those lines.
        fileprivate var pending = 0

        mutating func next() async throws -> Message? {
            do {
                while true {
                    while let line = try lines.next() {
                        if let message = try read(line) { return message }
                    }
                    guard let piece = try await pieces.next() else {
                        try Task.checkCancellation()
                        throw EtcdError.unreachable(endpoint, "it has ended the watch")
                    }
                    lines.append(piece.readableBytesView)
                }
            } catch is LineSplitter.TooLong {
                throw EtcdError.tooLarge(endpoint)
            } catch {
                throw EtcdTransport.streamFailure(error, endpoint)
            }
        }

        private mutating func read(_ line: ArraySlice<UInt8>) throws -> Message? {
            let length = line.count
            guard length > 0 else { return nil }
            guard let streamed = try? JSONDecoder().decode(Streamed<WatchReply>.self, from: Data(line)) else {
                throw EtcdError.unreachable(endpoint, "a line of the watch is not etcd's")
            }
            if let refusal = streamed.error {
                throw refusal.error(at: endpoint)
                    ?? .unreachable(endpoint, "an error within the watch that is not etcd's")
            }
            guard let reply = streamed.result else { return nil }
            // The end of a watch whose revision is compacted comes without a revision of its own.
            if reply.canceled == true {
                if reply.compact_revision != nil { throw EtcdError.compacted }
                let reason = EtcdError.printable(reply.cancel_reason ?? "the watch was cancelled")
                throw EtcdError.refused(EtcdError.Code.failedPrecondition, reason, endpoint)
            }
            guard let revision = reply.header?.revision?.value else { return nil }
            if reply.created == true { return .created(revision: revision, cluster: reply.header?.cluster_id ?? "") }
            guard let events = reply.events, !events.isEmpty else { return .progress(revision: revision) }
            fragments += events
            pending += length
            guard pending <= EtcdClient.listLimit else { throw EtcdError.tooLarge(endpoint) }
            guard reply.fragment != true else { return nil }
            defer {
                fragments = []
                pending = 0
            }
            return .events(fragments, revision: revision)
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(endpoint: endpoint, pieces: body.makeAsyncIterator())
    }
}
