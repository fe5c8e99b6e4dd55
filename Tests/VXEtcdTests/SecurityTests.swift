import Foundation
import NIOCore
import NIOPosix
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXEtcd

extension RealEtcd {
    // MARK: - TLS

    /// An authority, a server's certificate for 127.0.0.1, and a client's.
    private static func certificates() async throws -> URL {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let script = """
            set -e; umask 077; cd "$1"
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
            for name in server client; do
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
                printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > $name.ext
                openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
            done
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout other.key -out other.pem
            """
        let (code, output) = await EtcdServer.run("sh", ["-c", script, "sh", directory.path])
        guard code == 0 else { throw DirectoryError("openssl: \(output)") }
        return directory
    }

    @Test func tlsWithClientCertificates() async throws {
        let files = try await Self.certificates()
        defer { try? FileManager.default.removeItem(at: files) }
        let server = try await EtcdServer(tls: files)
        let ctl = [
            "--cacert", "\(files.path)/ca.pem", "--cert", "\(files.path)/client.pem", "--key",
            "\(files.path)/client.key",
        ]
        try await server.ready(ctl)
        func directory(_ ca: String, _ certificate: String?) throws -> EtcdDirectory {
            try Self.directory(server) {
                $0.caFile = "\(files.path)/\(ca).pem"
                $0.certificateFile = certificate.map { "\(files.path)/\($0).pem" }
                $0.keyFile = certificate.map { "\(files.path)/\($0).key" }
            }
        }
        let good = try directory("ca", "client")
        let lease = try await good.acquire(Self.request("192.0.2.1", Self.pool("10.244.0.0/16")))
        let listener = Listener()
        await listener.start(good, lease)
        try await until("the first snapshot") { await listener.leases[lease.id] == lease }
        await listener.stop()

        // Who is not signed by the right authority is not spoken to, on either side.
        for (ca, certificate) in [("other", "client"), ("ca", nil), ("ca", "other")] {
            let bad = try directory(ca, certificate)
            await #expect { _ = try await bad.networkConfiguration() } throws: { error in
                (error as? DirectoryError)?.description.hasPrefix("etcd at https://127.0.0.1") == true
            }
        }
        // A key that others can read is refused, and what is mended is used without a restart.
        chmod("\(files.path)/client.key", 0o644)
        await #expect { try await good.publish(lease) } throws: {
            "\($0)".contains("chmod 600 \(files.path)/client.key")
        }
        chmod("\(files.path)/client.key", 0o600)
        try await good.publish(lease)
    }

    // MARK: - Users

    @Test func aUserThatMayDoNoMoreThanItMustAndATokenThatRunsOut() async throws {
        // Tokens are good for 2 s after their last use.
        let server = try await EtcdServer(options: ["--auth-token-ttl", "2"])
        try await server.ready()
        try await server.ctl("role", "add", "node")
        try await server.ctl("role", "grant-permission", "--prefix=true", "node", "read", Self.prefix + "/")
        try await server.ctl("role", "grant-permission", "--prefix=true", "node", "readwrite", Self.subnets)
        try await server.ctl("role", "grant-permission", "--prefix=true", "node", "readwrite", Self.nodes)
        for (user, password) in [("root", "r00t"), ("node", "s3cret")] {
            try await server.ctl("user", "add", "\(user):\(password)")
        }
        try await server.ctl("user", "grant-role", "root", "root")
        try await server.ctl("user", "grant-role", "node", "node")
        try await server.ctl("auth", "enable")
        let file = server.directory.appendingPathComponent("password").path
        func write(_ password: String, mode: mode_t = 0o600) throws {
            try password.write(toFile: file, atomically: false, encoding: .utf8)
            chmod(file, mode)
        }
        try write("s3cret\n")
        let directory = try Self.directory(server) {
            $0.username = "node"
            $0.passwordFile = file
        }
        let lease = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), record: "signed"))
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("the first snapshot") { await listener.leases[lease.id] == lease }

        // The token runs out, which is asked for with an own one; then a watch and a write have to get another.
        let token = try await Self.token(server, "s3cret")
        try await until("a token runs out", seconds: 30) { try await Self.refuses(server, token) }
        var changed = lease
        changed.record = "later"
        try await directory.publish(changed)
        server.kill(0)
        try await until("it is told that etcd is away") { await listener.reachability == [false] }
        server.start(0)
        let wanted = changed
        try await until("the watch is back") { await listener.reachability == [false, true] }
        #expect(await listener.leases[lease.id] == wanted)
        await listener.stop()

        // Errors of all kinds, none with the password in it.
        for (password, mode, word) in [("wr0ng", mode_t(0o600), "username"), ("s3cret", 0o644, "chmod 600")] {
            try write(password, mode: mode)
            let bad = try Self.directory(server) {
                $0.username = "node"
                $0.passwordFile = file
            }
            await #expect { _ = try await bad.acquire(Self.request("192.0.2.2", Self.pool("10.244.0.0/16"))) } throws: {
                error in
                guard let error = error as? DirectoryError else { return false }
                return error.description.contains(word) && !error.description.contains(password) && !error.isTransient
            }
        }
        // What it may not is told, and is no reason to end.
        try write("s3cret")
        let elsewhere = try Self.directory(server) {
            $0.username = "node"
            $0.passwordFile = file
            $0.prefix = "/elsewhere"
        }
        await #expect { _ = try await elsewhere.networkConfiguration() } throws: {
            "\($0)".contains("permission denied")
        }
    }

    private static func post(_ server: EtcdServer, _ path: String, _ body: String, token: String?) async -> String {
        var words = ["-s", "-m", "5", server.endpoints[0] + path, "-d", body]
        if let token { words += ["-H", "Authorization: " + token] }
        return await EtcdServer.run("curl", words).output
    }

    private static func token(_ server: EtcdServer, _ password: String) async throws -> String {
        let answer = await post(
            server,
            "/v3/auth/authenticate",
            #"{"name":"node","password":"\#(password)"}"#,
            token: nil
        )
        return try JSONDecoder().decode(AuthenticateReply.self, from: Data(answer.utf8)).token
    }

    private static func refuses(_ server: EtcdServer, _ token: String) async throws -> Bool {
        // Each use makes it last longer: the pause between two is more than its time.
        try await Task.sleep(for: .seconds(3))
        let key = Data((subnets + "x").utf8).base64EncodedString()
        return await post(server, "/v3/kv/range", #"{"key":"\#(key)"}"#, token: token).contains("invalid auth token")
    }

    // MARK: - Bad data

    @Test func hostileDataIsNamedAndTheRestWorks() async throws {
        let server = try await EtcdServer(options: ["--max-request-bytes", "33554432"])
        try await server.ready()
        func putBig(_ key: String, megabytes: Int = 1) async throws {
            let file = server.directory.appendingPathComponent("body").path
            let value = Data(repeating: 0x78, count: megabytes << 20).base64EncodedString()
            let body = #"{"key":"\#(Data(key.utf8).base64EncodedString())","value":"\#(value)"}"#
            try body.write(toFile: file, atomically: false, encoding: .utf8)
            #expect(await Self.post(server, "/v3/kv/put", "@" + file, token: nil).contains("revision"))
        }
        // Before, so that the list has to cope; more in one page than an answer may be long.
        for n in 10..<30 { try await putBig(Self.subnets + "10.244.\(n).0-24") }
        try await putBig(Self.subnets + "10.244.20.0-24", megabytes: 10)
        try await server.ctl("put", Self.subnets + "10.244.40.0-24", "not JSON")
        try await server.ctl("put", Self.subnets + "10.244.41.0-24\u{202e}", Self.value("192.0.2.41"))
        try await server.ctl("put", Self.subnets + "10.244.42.0-24", #"{"PublicIP":7}"#)
        try await server.ctl("put", Self.subnets + "../../config", Self.value("192.0.2.43"))
        try await server.ctl("put", Self.prefix + "/config2", "else")

        let directory = try Self.directory(server)
        let lease = try await directory.acquire(
            Self.request("192.0.2.1", Self.pool("10.244.0.0/16", min: "10.244.10.0", max: "10.244.30.0"))
        )
        // What cannot be read is taken all the same.
        #expect(lease.id == "10.244.30.0-24")
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("all is told") { await listener.events.count == 25 }
        #expect(await listener.leases == [lease.id: lease])

        // And the same as news.
        try await putBig(Self.subnets + "10.244.50.0-24")
        try await putBig(Self.nodes + "10.244.51.0-24")
        try await server.ctl("put", Self.subnets + "10.244.51.0-24", Self.value("192.0.2.51"))
        try await server.ctl("put", Self.subnets + "10.244.52.0-24", Self.value("192.0.2.52"))
        try await until("the good one is told") { await listener.leases["10.244.52.0-24"] != nil }
        let unreadable = await listener.events.compactMap { if case .unreadable(let id, _) = $0 { id } else { nil } }
        #expect(
            Set(unreadable)
                == Set(
                    (Array(10..<30) + [40, 42, 50, 51]).map { "10.244.\($0).0-24" } + [
                        "10.244.41.0-24%E2%80%AE", "../../config",
                    ]
                )
        )
        #expect(await listener.snapshots == 1)
        // One that no line may be as long as: listed again, without it.
        try await putBig(Self.subnets + "10.244.53.0-24", megabytes: 10)
        try await server.ctl("put", Self.subnets + "10.244.54.0-24", Self.value("192.0.2.54"))
        try await until("the one behind it is told") { await listener.leases["10.244.54.0-24"] != nil }
        #expect(await listener.events.contains(.unreadable("10.244.53.0-24", why: "a value of more than 16384 bytes")))
        #expect(await listener.snapshots == 2)
        #expect(await listener.reachability.isEmpty)
        await listener.stop()
    }

    /// Servers that are none, or mean harm. Each is asked for the configuration, and followed.
    @Test(arguments: [
        "", "garbage\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]",
        "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\n{\"header\":{},\"kvs\":[{}]}  ",
        "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"header\":{\"revision\":\"x\"},\"kvs\":[{\"key\":\"%\",\"value\":1}]}   ",
        "HTTP/1.1 400 Bad\r\ncontent-length: 57\r\n\r\n{\"code\":99999,\"message\":\"\u{1b}[31m\\u001b[31m\\n\\n\\u0000 evil\"}",
        "stream",
    ])
    func aServerThatIsNoEtcdIsAnError(answer: String) async throws {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { $0.pipeline.addHandler(OneAnswer(answer)) }
            .bind(host: "127.0.0.1", port: 0).get()
        let directory = try EtcdDirectory(
            EtcdConfiguration(endpoints: ["http://127.0.0.1:\(try #require(channel.localAddress?.port))"]),
            seconds: 60,
            timing: Self.timing
        )
        await #expect { _ = try await directory.networkConfiguration() } throws: { error in
            guard let text = (error as? DirectoryError)?.description else { return false }
            return text.hasPrefix("etcd at http://127.0.0.1")
                && !text.contains { $0.isNewline || $0 == "\u{1b}" || $0 == "\0" }
        }
        try? await channel.close()
    }
}

/// Answers whatever is asked with the same bytes; or without end.
private final class OneAnswer: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    private let answer: String
    /// Touched on the channel's event loop alone.
    private var isBegun = false

    init(_ answer: String) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isBegun else { return }
        isBegun = true
        guard answer == "stream" else {
            context.channel.writeAndFlush(ByteBuffer(string: answer)).whenComplete { [channel = context.channel] _ in
                channel.close(promise: nil)
            }
            return
        }
        context.channel.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), promise: nil)
        pour(context.channel)
    }

    private func pour(_ channel: any Channel) {
        channel.writeAndFlush(ByteBuffer(repeating: 0x20, count: 1 << 16)).whenSuccess { self.pour(channel) }
    }
}
