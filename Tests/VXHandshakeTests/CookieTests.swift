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

    /// Whether the left node, which knows where the right one is, looks into a message while it is flooded.
    private func isLookedInto(_ message: [UInt8], from source: Endpoint, after milliseconds: UInt64 = 0) -> Bool {
        let time = nodes.now.instant + .milliseconds(milliseconds)
        let isAdmitted = nodes.left.machine.admitsUnderLoad(message.span.bytes, from: source, now: time)
        nodes.left.settle(nodes.now)
        return isAdmitted
    }

    private func stranger(_ number: Int) -> Endpoint {
        Endpoint(address: .v4(IPv4Address(0xc612_0000 + UInt32(number))), port: 47890)
    }

    @Test("of a spoofed flood a fixed number a second is looked into, with and without mac2, whoever sends how much")
    func flood() throws {
        nodes.advance(milliseconds: 100)
        var message = try initiation()
        for place in [message.count, message.count - 1] {
            if place < message.count { message[place] = 1 }
            let admitted = (0..<100_000).count {
                isLookedInto(message, from: stranger($0), after: UInt64($0) / 100)
            }
            #expect((5000...5600).contains(admitted), "\(admitted) in one second")
        }
        #expect(nodes.left.drops[.rateLimited, default: 0] > 180_000)
    }

    @Test("under a spoofed flood a peer's initiation and the answer to an own one are looked into all the same")
    func peersUnderFlood() throws {
        nodes.advance(milliseconds: 100)
        let message = try initiation()
        let response = answer(message, isUnderLoad: false)
        for number in 0..<10_000 { _ = isLookedInto(message, from: stranger(number)) }
        #expect(!isLookedInto(message, from: stranger(0)), "the budget is spent")
        #expect(isLookedInto(message, from: nodes.right.endpoint))
        var forged = try #require(response)
        #expect(isLookedInto(forged, from: stranger(1)), "whatever the source: the index is one's own")
        forged[8] ^= 1
        #expect(!isLookedInto(forged, from: nodes.right.endpoint))
        #expect(nodes.left.drops[.unexpectedResponse] == 1)
    }
}
