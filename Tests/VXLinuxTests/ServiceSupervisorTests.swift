import Glibc
import Testing
import VXWire

@testable import VXLinux

/// sd_notify(3), with a socket of the test's own in the supervisor's place.
@Suite struct ServiceSupervisorTests {
    /// A bound datagram socket.
    private struct Listener: ~Copyable {
        let descriptor: FileDescriptor

        init(_ name: String) throws {
            let number = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
            descriptor = FileDescriptor(owning: number)
            let address = try #require(UnixAddress(name))
            let code = address.withPointer { bind(number, $0, $1) }
            try #require(code == 0)
        }

        /// What was sent, in order.
        func received() -> [String] {
            var datagrams: [String] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor.rawValue, &buffer, buffer.count, CInt(MSG_DONTWAIT))
                if count < 0 { return datagrams }
                datagrams.append(String(decoding: buffer.prefix(count), as: UTF8.self))
            }
        }
    }

    @Test("news arrive at a path and at an abstract name, several in one datagram", arguments: ["/tmp/", "@"])
    func news(prefix: String) throws {
        let name = "\(prefix)vxseal-notify-\(getpid())"
        unlink(name)
        defer { unlink(name) }
        let listener = try Listener(name)
        let supervisor = ServiceSupervisor(socket: name, watchdogMicroseconds: nil, watchdogProcess: nil, process: 1)
        #expect(supervisor.isThere && supervisor.watchdog == nil)
        supervisor.tell(.ready, .status("two\nlines"))
        supervisor.tell(.reloading(at: Instant(nanoseconds: 7_000_999)))
        supervisor.tell(.alive)
        supervisor.tell(.stopping)
        let expected = ["READY=1\nSTATUS=two lines", "RELOADING=1\nMONOTONIC_USEC=7000", "WATCHDOG=1", "STOPPING=1"]
        #expect(listener.received() == expected)
    }

    @Test("whoever is not there, or goes, is told nothing, and nothing fails")
    func absent() {
        for name in [nil, "", String(repeating: "x", count: 200)] {
            let supervisor = ServiceSupervisor(
                socket: name,
                watchdogMicroseconds: "5000000",
                watchdogProcess: nil,
                process: 1
            )
            #expect(!supervisor.isThere && supervisor.watchdog == nil)
            supervisor.tell(.ready)
        }
        let gone = ServiceSupervisor(
            socket: "/nowhere/at/all",
            watchdogMicroseconds: nil,
            watchdogProcess: nil,
            process: 1
        )
        gone.tell(.ready)
    }

    @Test("the watchdog counts for the process it names, and only with a time")
    func watchdog() {
        func time(_ microseconds: String?, _ process: String?) -> Interval? {
            ServiceSupervisor(
                socket: "@x",
                watchdogMicroseconds: microseconds,
                watchdogProcess: process,
                process: 7
            ).watchdog
        }
        #expect(time("30000000", nil) == .seconds(30))
        #expect(time("30000000", "7") == .seconds(30))
        #expect(time("30000000", "8") == nil)
        for text in [nil, "0", "-1", "many", "99999999999999999999", "18446744073709551615"] {
            #expect(time(text, nil) == nil)
        }
    }
}
