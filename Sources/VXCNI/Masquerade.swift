import Glibc
import VXLinux

/// Loads rules by nft(8).
enum Masquerade {
    /// Where it is beside PATH: runtimes often have one without them.
    private static let directories = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"]

    static func apply(_ script: String, _ environment: [String: String]) throws(CNIError) {
        let path = (environment["PATH"] ?? "").split(separator: ":").map(String.init) + directories
        guard let program = path.map({ $0 + "/nft" }).first(where: { access($0, X_OK) == 0 }) else {
            throw CNIError(
                .masquerade,
                "nft is missing, which masquerading needs",
                "install nftables, or let the agent do it (masquerade: true), or switch it off (\"ipMasq\": false)"
            )
        }
        let ran: FilterProgram
        do {
            ran = try FilterProgram(
                program,
                ["-f", "-"],
                environment: environment,
                input: Array(script.utf8),
                limit: Plugin.inputLimit,
                complaintsToOutput: true
            )
        } catch { throw CNIError(.masquerade, "nft did not run", "\(error)") }
        if ran.code != 0 {
            throw CNIError(
                .masquerade,
                "nft refuses the rules for masquerading",
                String(decoding: (ran.output ?? []).prefix(1000), as: UTF8.self)
            )
        }
    }
}
