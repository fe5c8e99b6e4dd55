import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// How long and how much a client may take of a listener.
struct ListenerBounds: Sendable {
    /// Connections at once; more wait in the kernel until one ends.
    var connections: Int
    /// From the connection, or the last answer, to the end of the next request's headers.
    var headTime: TimeAmount = .seconds(10)
    /// From there to the end of its body.
    var bodyTime: TimeAmount = .seconds(10)
    /// Bytes of its body.
    var bodyBytes = 64 << 10
    /// To take an answer whose length is known. One without, a stream, may rest as long as its reader likes.
    var answerTime: TimeAmount = .seconds(30)
    /// Bytes of one header field.
    var fieldBytes = 8 << 10
    /// Bytes of all header fields together.
    var headBytes = 16 << 10
    /// Header fields.
    var fields = 64
    /// To send what is not read any more, after a refusal.
    static let lingerTime = TimeAmount.seconds(1)
}

/// Holds one connection to its listener's bounds: a client that sends slowly, sends too much, or does not take its answer
/// loses its connection. What the daemon itself takes time for is not the client's fault, and not bounded here.
final class RequestBounds: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private enum Phase {
        /// The next request's headers are due.
        case head
        /// Its body is due.
        case body
        /// All of it is there, and the daemon is at work.
        case working
        /// The answer is being taken.
        case answering
        /// It was refused; what still comes is thrown away.
        case refused
    }

    private let bounds: ListenerBounds
    private let log: AnswerLog
    private var phase = Phase.head
    /// Requests whose headers came and whose answers have not ended; a client may send the next before it has the last answer.
    private var pending = 0
    private var isBodyDue = false
    private var bodyBytes = 0
    private var requestedAt = NIODeadline.uptimeNanoseconds(0)
    private var isAnswered = false
    private var isLast = false
    private var timer: Scheduled<Void>?

    init(_ bounds: ListenerBounds, log: AnswerLog) {
        self.bounds = bounds
        self.log = log
    }

    func handlerAdded(context: ChannelHandlerContext) { enter(.head, for: bounds.headTime, context) }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    // MARK: - Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase != .refused else { return }
        switch unwrapInboundIn(data) {
        case .head(let request):
            pending += 1
            isBodyDue = true
            bodyBytes = 0
            isAnswered = false
            requestedAt = context.eventLoop.now
            enter(.body, for: bounds.bodyTime, context)
            if let length = request.headerFields[.contentLength].flatMap(Int.init), length > bounds.bodyBytes {
                return refuse(context)
            }
        case .body(let bytes):
            bodyBytes += bytes.readableBytes
            guard bodyBytes <= bounds.bodyBytes else { return refuse(context) }
        case .end:
            isBodyDue = false
            if phase == .body { enter(.working, for: nil, context) }
        }
        context.fireChannelRead(data)
    }

    /// Says that the body is too large, and ends the connection once the client had time to read that.
    private func refuse(_ context: ChannelHandlerContext) {
        let wasAnswered = isAnswered
        enter(.refused, for: ListenerBounds.lingerTime, context)
        guard !wasAnswered else { return context.close(promise: nil) }
        let fields: HTTPFields = [.contentLength: "0", .connection: "close"]
        log.note(status: HTTPResponse.Status.contentTooLarge.code, duration: .zero)
        context.write(
            wrapOutboundOut(.head(HTTPResponse(status: .contentTooLarge, headerFields: fields))),
            promise: nil
        )
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    // MARK: - Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard phase != .refused else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(let response):
            isAnswered = true
            isLast = response.headerFields[.connection] == "close"
            let duration = requestedAt == .uptimeNanoseconds(0) ? .zero : context.eventLoop.now - requestedAt
            log.note(status: response.status.code, duration: duration)
            // A body that is not all there is not waited for: what comes of it is bounded by its size.
            let isStream = response.headerFields[.contentLength] == nil
            enter(.answering, for: isStream ? nil : bounds.answerTime, context)
            context.write(data, promise: promise)
        case .body:
            context.write(data, promise: promise)
        case .end:
            let promise = promise ?? context.eventLoop.makePromise(of: Void.self)
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            // The answer is taken when its last byte is in the kernel's buffer.
            promise.futureResult.whenSuccess { bound.value.0.finish(bound.value.1) }
            context.write(data, promise: promise)
        }
    }

    private func finish(_ context: ChannelHandlerContext) {
        guard phase == .answering else { return }
        pending = max(pending - 1, 0)
        if isLast {
            enter(.refused, for: ListenerBounds.lingerTime, context)
        } else if isBodyDue {
            enter(.body, for: bounds.bodyTime, context)
        } else if pending > 0 {
            enter(.working, for: nil, context)
        } else {
            enter(.head, for: bounds.headTime, context)
        }
    }

    // MARK: - Time

    private func enter(_ phase: Phase, for time: TimeAmount?, _ context: ChannelHandlerContext) {
        self.phase = phase
        timer?.cancel()
        timer = nil
        guard let time else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: time) { bound.value.0.expire(bound.value.1) }
    }

    private func expire(_ context: ChannelHandlerContext) {
        // A connection that rests between requests is not slow.
        if phase == .body || phase == .answering { log.noteTimeout() }
        context.close(promise: nil)
    }
}
