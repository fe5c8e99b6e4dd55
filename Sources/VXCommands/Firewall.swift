import ArgumentParser
import Foundation
import VXConfig
import VXDaemon

struct Firewall: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the nftables rules of a node's ports, or load them.",
        discussion: """
            The rules accept sealed datagrams, from the peers' endpoints alone where no peer roams; accept plaintext VXLAN from \
            the plaintext peers and drop it from everybody else; and keep connection tracking away from both. They are a table of \
            their own, and other rules stay as they are. Documentation/firewall.md says how they go together.
            """
    )

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Load the rules, in place of what was loaded before.")
    var apply = false

    @Flag(help: "Remove the rules that --apply loaded.")
    var remove = false

    func validate() throws {
        if apply, remove { throw ValidationError("--apply and --remove exclude each other") }
    }

    func run() throws {
        let script = FirewallScript(try options.load())
        if !apply, !remove { return print(script.text, terminator: "") }
        let before = listing(of: script.table)
        if remove {
            guard before != nil else { return print("there is no table inet \(script.table)") }
            try load(script.removal)
            return print("removed table inet \(script.table)")
        }
        try load(script.text)
        let verb =
            before == nil ? "loaded" : before == listing(of: script.table) ? "loaded again, unchanged:" : "replaced"
        print("\(verb) table inet \(script.table); see it with: nft list table inet \(script.table)")
    }

    /// The rules as the kernel has them, without their counts; nil where there are none.
    private func listing(of table: String) -> String? {
        guard let listing = ChildProcess.run("nft", ["-s", "list", "table", "inet", table]), listing.code == 0 else {
            return nil
        }
        return listing.output
    }

    private func load(_ script: String) throws {
        guard let loading = ChildProcess.run("nft", ["-f", "-"], input: script) else {
            throw CommandFailure("error: nft is missing; install it with: apt-get install nftables")
        }
        guard loading.code == 0 else {
            let mend = geteuid() == 0 ? "" : "; run it as root"
            throw CommandFailure("error: nft -f - ended with \(loading.code): \(loading.complaint)\(mend)")
        }
    }
}
