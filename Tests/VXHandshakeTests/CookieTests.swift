import Testing
import VXCrypto
import VXHandshake
import VXWire

/// Denial of service (protocol.md, 3).
@Suite struct CookieTests {
    private let nodes = TwoNodes(seed: 21)

    /// An initiation of the left node, not delivered.
    private func initiation() throws -> [UInt8] {
        nodes.left.machine.handleTimeout(now: nodes.now)
        nodes.left.settle(nodes.now)
        defer { nodes.left.sent = [] }
        return try #require(nodes.left.sent.first { $0.message[0] == 1 }).message
    }

    private func answer(_ message: [UInt8], from source: Endpoint? = nil, isUnderLoad: Bool = true) -> [UInt8]? {
        nodes.right.machine.handleDatagram(
            message,
            from: source ?? nodes.left.endpoint,
            isUnderLoad: isUnderLoad,
            now: nodes.now
        )
        nodes.right.settle(nodes.now)
        defer { nodes.right.sent = [] }
        return nodes.right.sent.first?.message
    }

    @Test("under load a stranger's initiation gets a cookie of 64 bytes and no work; with the cookie it is answered")
    func cookie() throws {
        nodes.advance(milliseconds: 100)
        let reply = try #require(answer(try initiation()))
        #expect(reply[0] == 3 && reply.count == 64)
        #expect(nodes.right.drops[.cookieSent] == 1)
        nodes.left.machine.handleDatagram(reply, from: nodes.right.endpoint, now: nodes.now)
        nodes.left.settle(nodes.now)
        nodes.left.sent = []
        nodes.advance(milliseconds: 6_000)
        let second = try initiation()
        #expect(second.suffix(16).contains { $0 != 0 }, "mac2 is set")
        // From elsewhere the cookie proves nothing.
        let elsewhere = Endpoint(address: .v4(IPv4Address(0xcb00_7101)), port: 47890)
        #expect(try #require(answer(second, from: elsewhere))[0] == 3)
        let response = try #require(answer(second))
        #expect(response[0] == 2)
    }

    @Test("a cookie replayed, forged, or to no outstanding initiation: dropped, and mac2 stays empty")
    func foreignCookie() throws {
        nodes.advance(milliseconds: 100)
        let reply = try #require(answer(try initiation()))
        var forged = reply
        forged[63] ^= 1
        nodes.left.machine.handleDatagram(forged, from: nodes.right.endpoint, now: nodes.now)
        nodes.advance(milliseconds: 6_000)
        let second = try initiation()
        #expect(second.suffix(16).allSatisfy { $0 == 0 })
        // The first initiation is no longer outstanding.
        nodes.left.machine.handleDatagram(reply, from: nodes.right.endpoint, now: nodes.now)
        nodes.left.settle(nodes.now)
        #expect(nodes.left.drops[.invalidCookie] == 2)
    }

    @Test("the secret is renewed: a cookie of two renewals ago proves nothing")
    func oldCookie() throws {
        nodes.advance(milliseconds: 100)
        let reply = try #require(answer(try initiation()))
        nodes.left.machine.handleDatagram(reply, from: nodes.right.endpoint, now: nodes.now)
        nodes.advance(milliseconds: 6_000)
        let second = try initiation()
        nodes.advance(milliseconds: 120_000)
        #expect(try #require(answer(second))[0] == 2, "the secret before is still taken")
        nodes.advance(milliseconds: 120_000)
        #expect(try #require(answer(second))[0] == 3)
    }
}
