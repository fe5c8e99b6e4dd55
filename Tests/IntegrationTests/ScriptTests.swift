import Foundation
import Testing

/// Real devices, the kernel's VXLAN, real processes, each script in namespaces of its own.
@Suite(.serialized) struct ScriptTests {
    /// How to enter new namespaces: as root without a user namespace, else with one; nil where neither is permitted.
    private static let entrance: [String]? = {
        let candidates = getuid() == 0 ? [["-nm"], ["-Urnm"]] : [["-Urnm"]]
        return candidates.first { flags in
            run(["unshare"] + flags + ["sh", "-c", "mount -t tmpfs t /run && ip link add probe type bridge"], [:]).code
                == 0
        }
    }()

    private static var binary: String {
        ProcessInfo.processInfo.environment["VXSEAL_BINARY"]
            ?? Bundle.module.bundleURL.deletingLastPathComponent().appendingPathComponent("vxseal").path
    }

    /// The project's own directory.
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// Whether a process here may trace another, which strace needs.
    private static let mayTrace = run(["strace", "-qq", "-o", "/dev/null", "true"], [:]).code == 0

    private static func has(_ program: String) -> Bool { run(["which", program], [:]).code == 0 }

    private static func run(_ words: [String], _ extra: [String: String]) -> (code: Int32, output: String) {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-\(UUID().uuidString)").path
        defer { unlink(file) }
        let quoted = (extra.map { "\($0)=\($1)" } + words).map { "'" + $0 + "'" }.joined(separator: " ")
        // A file and a plain wait: whatever a script leaves running would hold a pipe open. The thread that this runs on blocks
        // signals, and what it starts would inherit that: nothing in a script could be ended by SIGTERM, nor could the script.
        let status = system("env --default-signal \(quoted) > '\(file)' 2>&1 < /dev/null")
        let output = FileManager.default.contents(atPath: file).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return (status < 0 ? 127 : status >> 8 & 0xff, output)
    }

    @Test(
        "scripts in namespaces",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        arguments: [
            "startup", "plaintext", "refusal", "replay", "roaming", "sealed", "rotate", "wait", "mtu", "bridge", "demo",
            "lanes", "binding", "devices", "tos", "ipv6", "vmbridge",
        ]
    )
    func script(name: String) throws { try play(name) }

    @Test(
        "standard VXLAN with the kernel's device, and as tshark reads it",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("tshark"), "tshark is missing: Tools/install-dependencies --interop")
    )
    func interop() throws { try play("interop") }

    @Test(
        "standard VXLAN with Open vSwitch",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("ovs-vswitchd"), "Open vSwitch is missing: Tools/install-dependencies --interop")
    )
    func openVSwitch() throws { try play("openvswitch") }

    @Test(
        "killed before every step of a rotation",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: mayTrace, "this machine permits no tracing of processes, or strace is missing")
    )
    func crashes() throws { try play("crash") }

    private func play(_ name: String) throws {
        let entrance = try #require(Self.entrance)
        let scripts = try #require(Bundle.module.url(forResource: "Scripts", withExtension: nil))
        let path = scripts.appendingPathComponent("\(name).sh").path
        let (code, output) = Self.run(
            ["timeout", "-k", "5", "300", "unshare"] + entrance + ["bash", path],
            ["VXSEAL": Self.binary, "VXSEAL_ROOT": Self.root]
        )
        #expect(code == 0 && output.contains("PASSED"), "\(name).sh ended with \(code):\n\(output)")
    }
}
