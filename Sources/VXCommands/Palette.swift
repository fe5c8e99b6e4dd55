import Foundation

/// How text stands out, or plain where the terminal is none or `NO_COLOR` is set.
struct Palette {
    let isStyled: Bool
    let isColoured: Bool

    /// Of this process's output.
    static var output: Palette {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let isPlain = !(ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty
        return Palette(isStyled: isTerminal, isColoured: isTerminal && !isPlain)
    }

    func reverse(_ text: String) -> String { isStyled ? "\u{1b}[7m\(text)\u{1b}[0m" : text }
    func faint(_ text: String) -> String { isStyled ? "\u{1b}[2m\(text)\u{1b}[0m" : text }
    func alarm(_ text: String) -> String {
        isColoured ? "\u{1b}[31m\(text)\u{1b}[0m" : isStyled ? "\u{1b}[1m\(text)\u{1b}[0m" : text
    }
}
