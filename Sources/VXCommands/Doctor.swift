import ArgumentParser
import Foundation
import VXConfig
import VXControlSocket
import VXDoctor

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look for what is wrong with a node and its machine, and how to mend it.",
        discussion: """
            Checks the configuration, key files, devices, routes, ports, firewall rules, socket buffers, peers and paths, clock, \
            cipher, offloads and kernel. Run it as the daemon's user or root, in the daemon's network namespace. The exit code is 0 \
            when nothing worse than a hint was found, 3 for warnings, 1 for errors, 78 for a configuration that the daemon refuses. \
            --fix makes only changes that take nothing away from anybody, and says each.
            """
    )

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "The daemon's admin socket, in place of the configuration's.")
    var socket: String?

    @Option(help: "Ask after this peer alone.")
    var peer: String?

    @Flag(help: "Make the changes that are safe.")
    var fix = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let configuration: NodeConfiguration
        do {
            var loader = options.loader
            // A key that others may read is a finding of its own.
            loader.allowLooseKeyFiles = true
            loader.allowVolatileState = true
            configuration = try loader.load(path: options.file)
        } catch {
            let report = DoctorReport(node: nil, daemon: false, findings: error.problems.map { Finding($0) })
            show(report)
            throw ExitCode(CommandFailure.badConfiguration)
        }
        if let peer, !configuration.peers.contains(where: { $0.name == peer }) {
            throw CommandFailure("error: no peer has the name \(peer) in \(options.file)")
        }
        var report = await examine(configuration)
        if fix {
            let repairs = report.findings.compactMap { finding in finding.repair.map { (finding.id, $0) } }
            for (id, repair) in repairs {
                let refusal = repair.apply()
                if !json { Terminal.say(refusal.map { "not mended, \(id): \($0)" } ?? "mended: \(repair.command)") }
            }
            // What is left is looked at anew.
            let before = Set(repairs.map(\.0))
            report = await examine(configuration)
            report.repaired = before.subtracting(report.findings.map(\.id)).sorted()
        }
        show(report)
        switch report.worst {
        case .error: throw ExitCode(1)
        case .warning: throw ExitCode(3)
        case .info, nil: break
        }
    }

    private func examine(_ configuration: NodeConfiguration) async -> DoctorReport {
        let status = try? await AdminClient(socket: socket ?? configuration.adminSocket).status()
        let examination = Examination(
            configuration: configuration,
            status: status,
            host: .machine(configuration),
            peer: peer
        )
        return DoctorReport(node: configuration.node, daemon: status != nil, findings: examination.findings())
    }

    // MARK: - Output

    private func show(_ report: DoctorReport) {
        if json {
            if let text = try? Terminal.json(report) { print(text) }
            return
        }
        print(Self.text(report, .output))
    }

    static func text(_ report: DoctorReport, _ palette: Palette) -> String {
        var lines = ["\(report.node ?? "node"): \(report.daemon ? "its daemon answers" : "no daemon answers")", ""]
        lines += Topic.allCases.map { topic in
            let found = report.findings.filter { $0.topic == topic }
            let counts = Severity.allCases.reversed().compactMap { severity -> String? in
                let count = found.count { $0.severity == severity }
                return count == 0 ? nil : "\(count) \(severity.rawValue)\(count == 1 || severity == .info ? "" : "s")"
            }
            let verdict = counts.isEmpty ? "ok" : counts.joined(separator: ", ")
            let line = "  " + topic.rawValue.padding(toLength: 15, withPad: " ", startingAt: 0) + verdict
            return found.contains { $0.severity == .error } ? palette.alarm(line) : line
        }
        for finding in report.findings {
            let title = "\(finding.severity.rawValue): \(finding.id)"
            lines += ["", finding.severity == .error ? palette.alarm(title) : title]
            lines.append("  " + Terminal.wrap(finding.what, indent: 2, width: 80))
            lines.append("  why:  " + Terminal.wrap(finding.why, indent: 8, width: 80))
            if !finding.mend.isEmpty { lines.append("  mend: " + Terminal.wrap(finding.mend, indent: 8, width: 80)) }
        }
        if report.findings.contains(where: { $0.repair != nil }) {
            lines += [
                "",
                "vxseal doctor --fix mends: "
                    + Set(report.findings.filter { $0.repair != nil }.map(\.id)).sorted().joined(separator: ", "),
            ]
        }
        return lines.joined(separator: "\n")
    }
}
