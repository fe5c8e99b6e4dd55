import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import VXControl

/// A path to a server that can be cut and mended.
actor TCPRelay {
    nonisolated let endpoint: String
    private let target: (host: String, port: Int)
    private let port: Int
    private var listener: (any Channel)?
    private let open = ChannelList()

    init(to url: String) async throws {
        guard let parts = URLComponents(string: url), let host = parts.host, let port = parts.port else {
            throw DirectoryError("no URL: \(url)")
        }
        target = (host, port)
        let channel = try await Self.listen(0, target, open)
        listener = channel
        self.port = channel.localAddress?.port ?? 0
        endpoint = "http://127.0.0.1:\(self.port)"
    }

    /// Ends all connections, and takes no more.
    func cut() async {
        try? await listener?.close()
        listener = nil
        open.closeAll()
    }

    func mend() async throws { listener = try await Self.listen(port, target, open) }

    private static func listen(_ port: Int, _ target: (host: String, port: Int), _ open: ChannelList) async throws
        -> any Channel
    {
        try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { incoming in
                open.add(incoming)
                return ClientBootstrap(group: incoming.eventLoop).connect(host: target.host, port: target.port).flatMap
                { outgoing in
                    open.add(outgoing)
                    return incoming.pipeline.addHandler(Forwarder(to: outgoing)).and(
                        outgoing.pipeline.addHandler(Forwarder(to: incoming))
                    ).map { _ in }
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
    }
}

/// Channels that are to be closed together.
private final class ChannelList: Sendable {
    private let channels = NIOLockedValueBox<[any Channel]>([])
    func add(_ channel: any Channel) { channels.withLockedValue { $0.append(channel) } }
    func closeAll() {
        for channel in channels.withLockedValue({ all in
            defer { all = [] }; return all
        }) { channel.close(promise: nil) }
    }
}

/// Passes on what it reads.
private final class Forwarder: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let other: any Channel
    init(to other: any Channel) { self.other = other }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }
    func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
