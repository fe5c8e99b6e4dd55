import Foundation
import VXControl
import VXDaemon
import VXWire

/// Loads the overlay's nftables rules.
struct OverlayRules: Sendable {
    let rules: MasqueradeRules

    /// Replaces the table.
    /// - Returns: what is wrong, and how to mend it; nil when nothing is.
    func apply() async -> String? { await Self.load(rules.script) }

    /// Removes the table.
    static func remove() async { _ = await load(MasqueradeRules.removal) }

    private static func load(_ script: String) async -> String? {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let outcome = ChildProcess.run("nft", ["-f", "-"], input: script)
                let problem: String? =
                    switch outcome?.code {
                    case nil:
                        "nft is missing, and with it the rules of masquerade; install it: apt-get install nftables"
                    case 0: nil
                    default: "nft refuses the overlay's rules: \(outcome?.complaint ?? "")"
                    }
                continuation.resume(returning: problem)
            }
        }
    }
}
