import Testing
import VXControlSocket

@testable import VXCommands

/// What `vxseal top` shows, without a terminal.
@Suite struct TopScreenTests {
    private static let plain = Palette(isStyled: false, isColoured: false)

    private func status(peers: Int = 3, bytes: UInt64 = 0) -> StatusReply {
        var status = StatusReply(
            node: "node-a",
            publicKey: "key",
            listen: [],
            cipher: "libsodium",
            lanes: 1,
            steering: nil,
            handovers: 0,
            offloads: [:],
            uptimeSeconds: 61,
            networks: [
                NetworkStatus(
                    vni: 42,
                    mode: "sealed",
                    device: "vxs42",
                    mtu: 1414,
                    fdb: .init(learned: 2, limit: 16384, refused: 0, frozen: 0)
                )
            ],
            peers: (0..<peers).map { number in
                var peer = PeerStatus(
                    name: "node-\(number)-of-a-rather-long-name",
                    publicKey: "key",
                    mode: "sealed",
                    endpoint: nil,
                    state: number == 1 ? "handshaking" : "established"
                )
                peer.received.bytes = bytes * UInt64(number)
                return peer
            },
            drops: ["replayed": bytes, "noPeer": 0]
        )
        status.laneTraffic = [LaneStatus(received: .init(), sent: .init(), drops: ["replayed": bytes])]
        return status
    }

    private func screen(peers: Int = 3) -> TopScreen {
        var screen = TopScreen(palette: Self.plain)
        screen.take(status(peers: peers), at: 10)
        screen.take(status(peers: peers, bytes: 1_000_000), at: 12)
        return screen
    }

    private func press(_ screen: inout TopScreen, _ key: TerminalKey) {
        let goesOn = screen.press(key)
        #expect(goesOn)
    }

    /// The rows between the header and the footer.
    private func rows(of screen: TopScreen) -> [String] {
        var screen = screen
        return screen.lines(width: 120, height: 24).dropFirst(3).dropLast().filter { !$0.isEmpty }
    }

    @Test("every page fits every size of terminal")
    func sizes() {
        var screen = screen(peers: 40)
        for _ in TopScreen.Page.allCases {
            for width in 1...130 {
                for height in 1...30 {
                    let lines = screen.lines(width: width, height: height)
                    #expect(lines.count <= height && lines.allSatisfy { $0.count <= width }, "\(width) x \(height)")
                }
            }
            _ = screen.press(.right)
        }
    }

    @Test("rates are what came between two looks")
    func rates() {
        var screen = screen()
        let rows = rows(of: screen)
        // 2 MB in 2 s.
        #expect(rows[2].contains("8.0 Mbit/s") && rows[0].contains("0 bit/s"))
        let lines = screen.lines(width: 120, height: 24)
        #expect(lines[0].contains("in 12.0 Mbit/s"))
    }

    @Test("s sorts by the next column, r turns the order round")
    func sorting() {
        var screen = screen()
        for _ in 0..<2 { press(&screen, .character("s")) }
        #expect(rows(of: screen).map { $0.prefix(6) } == ["node-2", "node-1", "node-0"])
        let header = screen.lines(width: 120, height: 24)[2]
        #expect(header.contains("IN▾"))
        press(&screen, .character("r"))
        #expect(rows(of: screen).map { $0.prefix(6) } == ["node-0", "node-1", "node-2"])
    }

    @Test("a filter keeps what has the text in any column, until escape")
    func filter() {
        var screen = screen()
        for key in [TerminalKey.character("/"), .character("H"), .character("a"), .character("n"), .character("q")] {
            press(&screen, key)
        }
        #expect(rows(of: screen).isEmpty)
        for key in [TerminalKey.backspace, .enter] { press(&screen, key) }
        #expect(rows(of: screen).map { $0.prefix(6) } == ["node-1"])
        let footer = screen.lines(width: 120, height: 24).last
        #expect(footer?.contains("filter Han: 1 of 3") == true)
        press(&screen, .escape)
        #expect(rows(of: screen).count == 3)
    }

    @Test("scrolling stops at both ends")
    func scrolling() {
        var screen = screen(peers: 40)
        for _ in 0..<9 { press(&screen, .pageDown) }
        _ = screen.lines(width: 120, height: 24)
        #expect(rows(of: screen).last?.hasPrefix("node-39") == true)
        for _ in 0..<60 { press(&screen, .up) }
        #expect(rows(of: screen).first?.hasPrefix("node-0") == true)
    }

    @Test("pages of drops and lanes; q ends")
    func pages() {
        var screen = screen()
        press(&screen, .character("3"))
        #expect(rows(of: screen).count == 1 && rows(of: screen)[0].contains("500000/s"))
        press(&screen, .character("4"))
        #expect(rows(of: screen).count == 1 && rows(of: screen)[0].contains("1000000"))
        let goesOn = screen.press(.character("q"))
        #expect(!goesOn)
    }

    @Test("a daemon that is gone is said, and what was known stays")
    func gone() {
        var screen = screen()
        screen.complaint = "no daemon answers"
        #expect(rows(of: screen).count == 3)
        let footer = screen.lines(width: 80, height: 24).last
        #expect(footer?.hasPrefix("no daemon answers") == true)
    }

    @Test(
        "keys of terminals",
        arguments: [
            ("q", [TerminalKey.character("q")]), ("\u{1b}[A\u{1b}OB", [.up, .down]),
            ("\u{1b}[5~\u{1b}[6~", [.pageUp, .pageDown]),
            ("\u{1b}", [.escape]), ("\u{1b}[1;5C", [.right]),
            ("a\t\r\u{7f}", [.character("a"), .character("\t"), .enter, .backspace]),
            ("\u{1b}[200~x", [.character("x")]), ("\u{3}", [.interrupt]), ("\u{1b}[", []), ("é", [.character("é")]),
        ]
    )
    func keys(input: String, keys: [TerminalKey]) {
        #expect(TerminalScreen.keys(in: input) == keys)
    }
}
