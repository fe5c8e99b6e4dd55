import Glibc

/// A key of a terminal.
enum TerminalKey: Equatable {
    case character(Character)
    case enter, backspace, escape, interrupt
    case up, down, left, right, pageUp, pageDown
}

/// A terminal taken over: raw input, another screen, no cursor; given back as it was.
final class TerminalScreen {
    /// What a look at the terminal brought.
    enum Event {
        case keys([TerminalKey])
        /// Nothing was pressed.
        case quiet
        /// The terminal is gone.
        case closed
    }

    private var saved = termios()

    /// Nil when input and output are no terminal.
    init?() {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &saved) == 0 else {
            return nil
        }
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        guard tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0 else { return nil }
        _ = write("\u{1b}[?1049h\u{1b}[?25l")
    }

    /// Gives the terminal back.
    func restore() {
        _ = write("\u{1b}[?25h\u{1b}[?1049l")
        tcsetattr(STDIN_FILENO, TCSANOW, &saved)
    }

    /// Columns and rows now.
    static var size: (width: Int, height: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows lines, from the top; what was there before goes.
    /// - Returns: false when the terminal is gone.
    func show(_ lines: [String]) -> Bool {
        write("\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\n") + "\u{1b}[J")
    }

    /// Waits for keys, at most so long.
    static func read(milliseconds: CInt) -> Event {
        var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, milliseconds) > 0 else { return .quiet }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(STDIN_FILENO, &bytes, bytes.count)
        if count < 0 { return errno == EINTR || errno == EAGAIN ? .quiet : .closed }
        return count == 0 ? .closed : .keys(keys(in: String(decoding: bytes[..<count], as: UTF8.self)))
    }

    /// The keys that a run of input stands for (ECMA-48 control sequences).
    static func keys(in input: String) -> [TerminalKey] {
        var keys: [TerminalKey] = []
        var rest = Substring(input)
        while let first = rest.popFirst() {
            guard first == "\u{1b}" else {
                switch first {
                case "\r", "\n", "\r\n": keys.append(.enter)
                case "\u{7f}", "\u{8}": keys.append(.backspace)
                case "\u{3}": keys.append(.interrupt)
                default: if first == "\t" || !first.isControl { keys.append(.character(first)) }
                }
                continue
            }
            guard rest.first == "[" || rest.first == "O" else {
                keys.append(.escape)
                continue
            }
            rest.removeFirst()
            let parameters = rest.prefix { $0.isNumber || $0 == ";" }
            rest.removeFirst(parameters.count)
            switch (rest.popFirst(), parameters) {
            case ("A", _): keys.append(.up)
            case ("B", _): keys.append(.down)
            case ("C", _): keys.append(.right)
            case ("D", _): keys.append(.left)
            case ("~", "5"): keys.append(.pageUp)
            case ("~", "6"): keys.append(.pageDown)
            default: break
            }
        }
        return keys
    }

    private func write(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

extension Character {
    fileprivate var isControl: Bool { unicodeScalars.allSatisfy { $0.properties.generalCategory == .control } }
}
