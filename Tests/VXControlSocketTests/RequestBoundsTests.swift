import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing

@testable import VXControlSocket

@Suite struct RequestBoundsTests {
    @Test func headersMustComeInTime() throws {
        let connection = try BoundedConnection()
        connection.wait(.milliseconds(9_999))
        #expect(connection.isOpen)
        connection.wait(.milliseconds(1))
        #expect(!connection.isOpen)
    }

    @Test func aBodyMustComeInTimeHoweverItDribbles() throws {
        let connection = try BoundedConnection()
        try connection.sendHead(length: 10)
        for _ in 0..<4 {
            connection.wait(.seconds(1))
            try connection.sendBody(1)
        }
        #expect(connection.isOpen)
        connection.wait(.seconds(1))
        #expect(!connection.isOpen)
    }

    @Test func theDaemonMayTakeItsTime() throws {
        let connection = try BoundedConnection()
        try connection.sendRequest()
        connection.wait(.minutes(5))
        #expect(connection.isOpen)
        connection.answer(length: 1)
        connection.take()
        connection.wait(.milliseconds(9_999))
        #expect(connection.isOpen)
        // And the next request has its time again.
        try connection.sendRequest()
        connection.wait(.minutes(5))
        #expect(connection.isOpen)
    }

    @Test func anAnswerMustBeTaken() throws {
        let connection = try BoundedConnection()
        try connection.sendRequest()
        connection.answer(length: 1)
        connection.wait(.milliseconds(29_999))
        #expect(connection.isOpen)
        connection.wait(.milliseconds(1))
        #expect(!connection.isOpen)
    }

    @Test func aStreamMayRest() throws {
        let connection = try BoundedConnection()
        try connection.sendRequest()
        connection.answer(length: nil)
        connection.wait(.hours(1))
        #expect(connection.isOpen)
        connection.take()
        connection.wait(.seconds(10))
        #expect(!connection.isOpen)
    }

    @Test func aBodyThatIsAnnouncedTooLargeIsRefused() throws {
        let connection = try BoundedConnection()
        try connection.sendHead(length: 101)
        #expect(try connection.received() == 0)
        #expect(try connection.status() == 413)
        // What comes nevertheless is thrown away, for a second.
        for _ in 0..<1000 { try connection.sendBody(100) }
        #expect(try connection.received() == 0)
        #expect(connection.isOpen)
        connection.wait(.seconds(1))
        #expect(!connection.isOpen)
    }

    @Test func aBodyThatGrowsTooLargeIsRefused() throws {
        let connection = try BoundedConnection()
        try connection.sendHead()
        try connection.sendBody(100)
        #expect(try connection.received() == 2)
        try connection.sendBody(1)
        #expect(try connection.received() == 0)
        #expect(try connection.status() == 413)
        // The daemon's own answer comes too late.
        connection.answer(length: 1)
        #expect(try connection.status() == nil)
        connection.wait(.seconds(1))
        #expect(!connection.isOpen)
    }

    @Test func aBodyThatGoesOnBehindItsAnswerEndsTheConnection() throws {
        let connection = try BoundedConnection()
        try connection.sendHead()
        connection.answer(length: 1)
        connection.take()
        try connection.sendBody(100)
        #expect(connection.isOpen)
        try connection.sendBody(1)
        #expect(!connection.isOpen)
    }

    @Test func aBodyBehindItsAnswerHasNoMoreTime() throws {
        let connection = try BoundedConnection()
        try connection.sendHead()
        connection.answer(length: 1)
        connection.take()
        connection.wait(.seconds(5))
        #expect(!connection.isOpen)
    }

    @Test func theNextRequestMayComeBeforeTheAnswer() throws {
        let connection = try BoundedConnection()
        try connection.sendRequest()
        try connection.sendRequest()
        connection.answer(length: 1)
        connection.take()
        // The second is being worked on.
        connection.wait(.minutes(1))
        #expect(connection.isOpen)
        connection.answer(length: 1)
        connection.take()
        connection.wait(.seconds(10))
        #expect(!connection.isOpen)
    }

    @Test func theLastAnswerEndsTheConnection() throws {
        let connection = try BoundedConnection()
        connection.answer(length: 0, close: true)
        connection.take()
        connection.wait(.seconds(1))
        #expect(!connection.isOpen)
    }
}

/// A connection on virtual time, with bounds that are easy to reach.
private final class BoundedConnection {
    private let channel = EmbeddedChannel()
    private let taking = SlowReader()

    init() throws {
        let bounds = ListenerBounds(
            connections: 1,
            headTime: .seconds(10),
            bodyTime: .seconds(5),
            bodyBytes: 100,
            answerTime: .seconds(30)
        )
        try channel.pipeline.syncOperations.addHandlers([
            taking, RequestBounds(bounds, log: AnswerLog(listener: "test")),
        ])
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/test")).wait()
    }

    func sendHead(length: Int? = nil) throws {
        var fields = HTTPFields()
        if let length { fields[.contentLength] = String(length) }
        let request = HTTPRequest(method: .post, scheme: nil, authority: nil, path: "/", headerFields: fields)
        try channel.writeInbound(HTTPRequestPart.head(request))
    }

    func sendBody(_ count: Int) throws {
        try channel.writeInbound(HTTPRequestPart.body(ByteBuffer(repeating: 0, count: count)))
    }

    /// A whole one, without a body.
    func sendRequest() throws {
        try sendHead()
        try channel.writeInbound(HTTPRequestPart.end(nil))
    }

    /// The daemon answers.
    /// - Parameter length: that is announced; nil for a stream.
    func answer(length: Int?, close: Bool = false) {
        var fields = HTTPFields()
        if let length { fields[.contentLength] = String(length) }
        if close { fields[.connection] = "close" }
        channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .ok, headerFields: fields)), promise: nil)
        channel.writeAndFlush(HTTPResponsePart.end(nil), promise: nil)
    }

    /// The client takes all that was written.
    func take() { taking.takeAll() }

    func wait(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }

    var isOpen: Bool { channel.isActive }

    /// How many parts of requests came through since the last call.
    func received() throws -> Int {
        var count = 0
        while try channel.readInbound(as: HTTPRequestPart.self) != nil { count += 1 }
        return count
    }

    /// The status of the next answer.
    func status() throws -> Int? {
        while let part = try channel.readOutbound(as: HTTPResponsePart.self) {
            if case .head(let head) = part { return head.status.code }
        }
        return nil
    }
}

/// A client that takes the ends of answers only when it is told to.
private final class SlowReader: ChannelOutboundHandler {
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var held: [EventLoopPromise<Void>] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .end = unwrapOutboundIn(data), let promise else {
            context.write(data, promise: promise)
            return
        }
        held.append(promise)
        context.write(data, promise: nil)
    }

    func takeAll() {
        for promise in held { promise.succeed() }
        held = []
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        for promise in held { promise.fail(ChannelError.ioOnClosedChannel) }
        held = []
    }
}
