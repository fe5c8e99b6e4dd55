public import VXConfig
import VXControlSocket

/// Whether the daemon runs, and with this file.
enum ConfigurationChecks {
    static func run(_ node: Examination) -> [Finding] {
        guard let status = node.status else {
            return [
                Finding(
                    .info,
                    "daemon.absent",
                    .configuration,
                    "no daemon answers at \(node.configuration.adminSocket)",
                    why: "sessions, paths and drops are not known then",
                    mend: "vxseal up -c FILE"
                )
            ]
        }
        func names(_ here: Set<String>, _ there: Set<String>) -> String {
            let (added, gone) = (here.subtracting(there).sorted(), there.subtracting(here).sorted())
            return (added.map { "+ \($0)" } + gone.map { "- \($0)" }).prefix(6).joined(separator: ", ")
        }
        let file = Set(
            node.configuration.networks.map { "network \($0.vni)" } + node.configuration.peers.map { "peer \($0.name)" }
        )
        let running = Set(status.networks.map { "network \($0.vni)" } + status.peers.map { "peer \($0.name)" })
        if status.node != node.configuration.node {
            return [
                Finding(
                    .warning,
                    "configuration.otherNode",
                    .configuration,
                    "the daemon that answers is `\(status.node)`, the file is of `\(node.configuration.node)`",
                    why: "what is said below mixes two nodes",
                    mend: "name the daemon's socket with --socket, or its own file with -c"
                )
            ]
        }
        guard file != running else { return [] }
        return [
            Finding(
                .warning,
                "configuration.notInUse",
                .configuration,
                "the daemon runs with another configuration than the file: \(names(file, running))",
                why: "what was changed in the file has no effect yet",
                mend: "vxseal reload"
            )
        ]
    }
}

extension Finding {
    /// What `vxseal check` refuses.
    public init(_ problem: ConfigurationProblem) {
        self.init(
            .error,
            "configuration.invalid",
            .configuration,
            problem.line > 0 ? "\(problem.file):\(problem.line): \(problem.what)" : "\(problem.file): \(problem.what)",
            why: "the daemon does not start with it, nor takes it by a reload",
            mend: problem.mend
        )
    }
}
