import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import VXConfig
import VXControlSocket
import VXLinux
import VXWire

/// The one thread that serves all HTTP. It gives way to the lanes: however many clients ask, they get no more than a
/// quarter of a core that a lane wants. Less would make a scrape of thousands of peers late on a machine that is busy.
package struct HTTPThread: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// Starts it.
    package init() {
        loop.execute {
            ThreadName.set("vxseal-http")
            ThreadPriority.yield(by: 5)
        }
    }

    /// That thread's.
    package var loop: any NIOCore.EventLoop { group.next() }

    /// The listener for Prometheus; none where none is configured.
    func metricsServices(
        at endpoint: Endpoint?,
        _ source: MetricsSource,
        logger: Logger
    ) -> [ServiceGroupConfiguration.ServiceConfiguration] {
        guard let endpoint else { return [] }
        if !endpoint.isLoopback {
            logger.notice(
                "metrics are served to whoever reaches this address, without encryption",
                metadata: ["metrics": "\(endpoint.configured)"]
            )
        }
        let server = MetricsServer(
            host: endpoint.host,
            port: Int(endpoint.port),
            backend: source,
            loop: loop,
            logger: logger
        )
        // The other services end by themselves alone, not when they are cancelled.
        return [.init(service: server, failureTerminationBehavior: .gracefullyShutdownGroup)]
    }
}

extension Endpoint {
    /// 127.0.0.0/8 or ::1.
    fileprivate var isLoopback: Bool {
        switch address {
        case .v4(let address): address.rawValue >> 24 == 127
        case .v6(let address): address.high == 0 && address.low == 1
        }
    }

    /// The address without the port, as getaddrinfo(3) reads it.
    fileprivate var host: String {
        switch address {
        case .v4(let address): address.description
        case .v6(let address): scope == 0 ? address.description : "\(address)%\(scope)"
        }
    }
}
