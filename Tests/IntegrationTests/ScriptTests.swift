import Foundation
import Testing

/// Real devices, the kernel's VXLAN, real processes, each script in namespaces and a directory of its own.
@Suite struct ScriptTests {
    /// Those through which traffic flows; the longest first.
    static let trafficScripts = [
        "lanes", "mtu", "rotate", "roaming", "replay", "bridge", "sealed", "plaintext", "refusal", "binding",
        "tos", "ipv6", "vmbridge", "relay",
    ]
    /// These run with the default settings alone. None depends on an offload or a provider: `startup` is refused before a
    /// packet flows, or passes none; `demo` writes configurations of its own; `wait` is about what a command and the log say,
    /// `devices` about what becomes of a device that others change; in `reload` and `migration` the configuration changes;
    /// `agent`, `kubernetes` and `calico` are about who is a peer, and in `migrate-calico` Calico is.
    static let otherScripts = [
        "reload", "inspect", "migration", "networks", "agent", "kubernetes", "calico", "migrate-calico", "multicast",
        "wait", "devices", "startup", "demo", "firewall",
    ]
    /// About the process and whoever started it.
    static let serviceScripts = ["doctor", "service", "logs", "sandbox", "user", "clients", "metrics"]

    /// The daemon's settings beside those that a script is about.
    struct Settings: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Lines for the configuration of every node.
        let lines: String
        /// What the status `s` of every node must then say, as Python.
        let expected: String

        static let everyOffloadOff = Settings(
            testDescription: "every offload off, libsodium",
            lines: """
                cipher: libsodium
                offloads: {tapTso: false, tapUso: false, udpSegment: false, udpGro: false, coalescing: false, \
                aggregation: false, partialChecksums: false}
                """,
            expected: #"s["cipher"] == "libsodium" and set(s["offloads"].values()) == {"off"}"#
        )

        static func provider(_ name: String) -> Settings {
            Settings(
                testDescription: "cipher \(name)",
                lines: "cipher: \(name)",
                expected: #"s["cipher"] == "\#(name)" and "off" not in s["offloads"].values()"#
            )
        }
    }

    /// All of them where VXSEAL_TEST_VARIANTS is set, as CI does. libsodium is in the run without offloads, and the provider
    /// that `auto` chooses in the run with the default settings.
    static let variants: [Settings] = {
        guard ProcessInfo.processInfo.environment["VXSEAL_TEST_VARIANTS"]?.isEmpty == false,
            let told = try? run("providers", settings: nil).output.split(separator: "\n")
        else { return [] }
        func values(_ field: String) -> [String] {
            told.filter { $0.hasPrefix(field) }.map { String($0.dropFirst(field.count)) }
        }
        let chosen = values("auto: ")
        let others = values("available: ").filter { !chosen.contains($0) && $0 != "libsodium" }
        let variants = [.everyOffloadOff] + others.map(Settings.provider)
        say(
            "scripts run with: the default (auto: \(chosen.joined())); \(variants.map(\.testDescription).joined(separator: "; "))"
        )
        return variants
    }()

    /// A line that is seen at once, unlike what waits in the buffer of a file.
    private static func say(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

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

    private static func run(_ name: String, settings: Settings?) throws -> (code: Int32, output: String) {
        let entrance = try #require(entrance)
        let scripts = try #require(Bundle.module.url(forResource: "Scripts", withExtension: nil))
        let path = scripts.appendingPathComponent("\(name).sh").path
        var environment = ["VXSEAL": binary, "VXSEAL_ROOT": root]
        environment["VXSEAL_TEST_SETTINGS"] = settings?.lines
        environment["VXSEAL_TEST_EXPECTED"] = settings?.expected
        return run(["timeout", "-k", "5", "300", "unshare"] + entrance + ["bash", path], environment)
    }

    @Test(
        "scripts in namespaces",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        arguments: trafficScripts + otherScripts + serviceScripts
    )
    func script(name: String) async throws { try await play(name) }

    @Test(
        "scripts in namespaces, with other settings",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: !variants.isEmpty, "only where VXSEAL_TEST_VARIANTS is set"),
        arguments: variants,
        trafficScripts
    )
    func variant(settings: Settings, name: String) async throws { try await play(name, settings: settings) }

    @Test(
        "standard VXLAN with the kernel's device, and as tshark reads it",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("tshark"), "tshark is missing: Tools/install-dependencies --interop")
    )
    func interop() async throws { try await play("interop") }

    @Test(
        "from flannel to sealed, with etcd",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("etcd") && has("etcdctl"), "etcd is missing: Tools/install-dependencies --interop")
    )
    func overlay() async throws { try await play("overlay") }

    @Test(
        "a cluster with pods: make demo-kubernetes",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(
            if: has("etcd") && has("etcdctl") && FileManager.default.fileExists(atPath: "/usr/lib/cni/host-local"),
            "etcd or the CNI plugins are missing: Tools/install-dependencies --interop"
        )
    )
    func cluster() async throws { try await play("cluster") }

    @Test(
        "metrics, as Prometheus reads them",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("prometheus"), "Prometheus is missing: Tools/install-dependencies --interop")
    )
    func prometheus() async throws { try await play("prometheus") }

    @Test(
        "captures and the dissector, as tshark reads them",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("tshark"), "tshark is missing: Tools/install-dependencies --interop")
    )
    func capture() async throws { try await play("capture") }

    @Test(
        "standard VXLAN with Open vSwitch",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: has("ovs-vswitchd"), "Open vSwitch is missing: Tools/install-dependencies --interop")
    )
    func openVSwitch() async throws { try await play("openvswitch") }

    /// Debian's place for them.
    private static let hasReferencePlugins = ["bridge", "host-local", "portmap"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: "/usr/lib/cni/" + $0)
    }

    @Test(
        "the CNI plugin, with the CNI project's own plugins",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(
            if: hasReferencePlugins && has("nft") && has("iptables"),
            "containernetworking-plugins, nftables or iptables is missing: Tools/install-dependencies --interop"
        )
    )
    func cni() async throws { try await play("cni") }

    @Test(
        "containers by containerd and runc, with the CNI plugin",
        .enabled(if: entrance == ["-nm"], "this needs root, for containers have control groups"),
        .enabled(
            if: hasReferencePlugins && has("containerd") && has("runc") && has("busybox"),
            "containerd, runc, busybox-static or CNI's plugins are missing: Tools/install-dependencies --containers"
        )
    )
    func containers() async throws { try await play("containers") }

    @Test(
        "killed before every step of a rotation",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: mayTrace, "this machine permits no tracing of processes, or strace is missing")
    )
    func crashes() async throws { try await play("crash") }

    @Test(
        "calls that the kernel refuses",
        .enabled(if: entrance != nil, "this machine permits neither root's nor unprivileged network namespaces"),
        .enabled(if: mayTrace, "this machine permits no tracing of processes, or strace is missing")
    )
    func calls() async throws { try await play("calls") }

    /// Scripts wait more than they compute, so that two together are hardly slower than one.
    private static let turnstile = Turnstile(places: 2)

    private func play(_ name: String, settings: Settings? = nil) async throws {
        await Self.turnstile.enter()
        let start = ContinuousClock.now
        let result = await withCheckedContinuation { continuation in
            // It blocks, which a thread of the concurrency pool must not.
            Thread.detachNewThread { continuation.resume(returning: Result { try Self.run(name, settings: settings) }) }
        }
        await Self.turnstile.leave()
        let (code, output) = try result.get()
        Self.say("\(name).sh\(settings.map { ", " + $0.testDescription } ?? ""): \(start.duration(to: .now))")
        #expect(code == 0 && output.contains("PASSED"), "\(name).sh ended with \(code):\n\(output)")
    }
}

/// Lets so many in at a time, in the order they came.
private actor Turnstile {
    private var places: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { self.places = places }

    func enter() async {
        if places > 0 {
            places -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty { places += 1 } else { waiting.removeFirst().resume() }
    }
}
