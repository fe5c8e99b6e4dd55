import Foundation
import VXControlSocket

/// What `vxseal top` shows, as a function of the statuses it was given and the keys that were pressed. It draws nothing itself.
struct TopScreen {
    /// A page of the screen.
    enum Page: Int, CaseIterable {
        case peers, networks, drops, lanes

        var title: String {
            switch self {
            case .peers: "Peers"
            case .networks: "Networks"
            case .drops: "Drops"
            case .lanes: "Lanes"
            }
        }
    }

    private(set) var page = Page.peers
    /// By page: the column that rows are sorted by.
    private var sortColumns = Page.allCases.map { _ in 0 }
    private var isReversed = Page.allCases.map { _ in false }
    private var filter = ""
    private var isTyping = false
    private var offset = 0
    /// Said in the last line until the next answer.
    var complaint: String?
    private var status: StatusReply?
    private var history = TopHistory()
    private let palette: Palette

    init(palette: Palette) { self.palette = palette }

    /// Takes what the daemon says, `seconds` after some fixed moment.
    mutating func take(_ status: StatusReply, at seconds: Double) {
        complaint = nil
        history.note(status, at: seconds)
        self.status = status
    }

    /// - Returns: false when it is over.
    mutating func press(_ key: TerminalKey) -> Bool {
        if isTyping { return type(key) }
        switch key {
        case .character("q"), .interrupt: return false
        case .character("\t"), .right: turn(by: 1)
        case .left: turn(by: -1)
        case .character(let digit) where "1234".contains(digit):
            turn(by: (digit.wholeNumberValue ?? 1) - 1 - page.rawValue)
        case .character("s"): sortColumns[page.rawValue] += 1
        case .character("r"): isReversed[page.rawValue].toggle()
        case .character("/"):
            isTyping = true
            filter = ""
        case .escape: filter = ""
        case .up, .character("k"): offset -= 1
        case .down, .character("j"): offset += 1
        case .pageUp: offset -= 10
        case .pageDown, .character(" "): offset += 10
        case .character, .enter, .backspace: break
        }
        return true
    }

    private mutating func type(_ key: TerminalKey) -> Bool {
        switch key {
        case .character(let character): filter.append(character)
        case .backspace: filter = String(filter.dropLast())
        case .enter: isTyping = false
        case .escape:
            isTyping = false
            filter = ""
        case .interrupt: return false
        case .up, .down, .left, .right, .pageUp, .pageDown: break
        }
        offset = 0
        return true
    }

    private mutating func turn(by step: Int) {
        let count = Page.allCases.count
        page = Page.allCases[(page.rawValue + step + count) % count]
        offset = 0
    }

    // MARK: - Lines

    /// The screen's lines, at most `height`, none wider than `width`.
    mutating func lines(width: Int, height: Int) -> [String] {
        guard width > 0, height > 0 else { return [] }
        guard let status else { return [cut(complaint ?? "waiting for the daemon", to: width)] }
        let table = table(of: status)
        let rows = arranged(table.rows)
        let room = max(0, height - 4)
        offset = max(0, min(offset, rows.count - room))
        let columns = table.fitting(width)
        var lines = [
            cut(heading(status), to: width), tabs(status, width: width),
            palette.reverse(pad(columns.line(table.header(sorted: sortColumn, isReversed: isDescending)), to: width)),
        ]
        lines += rows.dropFirst(offset).prefix(room).map { row in
            let text = cut(columns.line(row.cells), to: width)
            return row.isAlarming ? palette.alarm(text) : text
        }
        // On a screen that has no room for more, rows matter most.
        lines = Array(lines.prefix(height))
        guard height > 4 else { return lines }
        lines += Array(repeating: "", count: height - 1 - lines.count)
        lines.append(footer(shown: rows.count, of: table.rows.count, room: room, width: width))
        return lines
    }

    /// Everything once, for a pipe.
    mutating func snapshot(width: Int) -> [String] {
        let rows = status.map { table(of: $0).rows.count } ?? 0
        return lines(width: width, height: rows + 5).dropLast().map {
            String($0.reversed().drop { $0 == " " }.reversed())
        }
    }

    private func heading(_ status: StatusReply) -> String {
        let rates = status.peers.map { history.rate(of: "peer \($0.name)") }
        let (received, sent) = (rates.reduce(0) { $0 + $1.received }, rates.reduce(0) { $0 + $1.sent })
        return "\(status.node)  up \(Terminal.span(status.uptimeSeconds))  \(status.cipher)"
            + "  in \(Terminal.rate(received))  out \(Terminal.rate(sent))"
    }

    private func tabs(_ status: StatusReply, width: Int) -> String {
        let counts = [
            status.peers.count, status.networks.count, status.drops.values.filter { $0 > 0 }.count, status.lanes,
        ]
        var plain = 0
        var text = ""
        for tab in Page.allCases {
            let title = " \(tab.rawValue + 1) \(tab.title) \(counts[tab.rawValue]) "
            guard plain + title.count <= width else { break }
            plain += title.count
            text += tab == page ? palette.reverse(title) : title
        }
        return text
    }

    private func footer(shown: Int, of all: Int, room: Int, width: Int) -> String {
        if let complaint { return palette.alarm(cut(complaint, to: width)) }
        if isTyping { return cut("filter: \(filter)▏ (enter: keep, esc: none)", to: width) }
        var text = filter.isEmpty ? "" : "filter \(filter): \(shown) of \(all)  "
        if shown > room { text += "\(offset + 1)-\(min(shown, offset + room)) of \(shown)  " }
        return palette.faint(cut(text + "q quit  ⇥ page  s sort  r reverse  / filter  ↑↓ scroll", to: width))
    }

    // MARK: - Tables

    private var sortColumn: Int { sortColumns[page.rawValue] }
    /// Numbers stand largest first, unless reversed.
    private var isDescending: Bool { !isReversed[page.rawValue] }

    private func table(of status: StatusReply) -> TopTable {
        switch page {
        case .peers: history.peers(status)
        case .networks: history.networks(status)
        case .drops: history.drops(status)
        case .lanes: history.lanes(status)
        }
    }

    /// Filtered and sorted.
    private func arranged(_ rows: [TopTable.Row]) -> [TopTable.Row] {
        let needle = filter.lowercased()
        let kept = needle.isEmpty ? rows : rows.filter { $0.cells.contains { $0.lowercased().contains(needle) } }
        guard let width = rows.first?.keys.count, sortColumn % (width + 1) > 0 else {
            return isDescending ? kept : kept.reversed()
        }
        let column = sortColumn % (width + 1) - 1
        return kept.sorted { isDescending ? $0.keys[column] > $1.keys[column] : $0.keys[column] < $1.keys[column] }
    }

    private func cut(_ text: String, to width: Int) -> String { String(text.prefix(width)) }

    private func pad(_ text: String, to width: Int) -> String {
        cut(text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0), to: width)
    }
}
