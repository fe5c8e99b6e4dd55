import VXConfig
import VXControlSocket

/// Clock, random numbers, cipher, offloads, sandbox and kernel.
enum MachineChecks {
    static func run(_ node: Examination) -> [Finding] {
        clock(node) + cipher(node) + offloads(node) + sandbox(node) + kernel(node)
    }

    private static func clock(_ node: Examination) -> [Finding] {
        var findings: [Finding] = []
        if let stale = node.status?.drops["staleTimestamp"], stale > 0 {
            findings.append(
                Finding(
                    .warning,
                    "clock.stale",
                    .clock,
                    "\(stale) handshakes bore an old time (staleTimestamp)",
                    why: "a peer's clock went back and its state was lost, or somebody replays what it recorded",
                    mend: "see that the peers' clocks are right (timedatectl) and their state directories persist"
                )
            )
        }
        if !node.host.isClockSynchronised {
            findings.append(
                Finding(
                    .info,
                    "clock.unsynchronised",
                    .clock,
                    "nothing keeps this machine's clock right",
                    why: "handshakes bear the time; a clock far in the future locks the node out once it is set back",
                    mend: "run a time service: timedatectl set-ntp true, or chrony"
                )
            )
        }
        if !node.host.hasEntropy {
            findings.append(
                Finding(
                    .error,
                    "kernel.entropy",
                    .kernel,
                    "the kernel has no random numbers yet",
                    why: "keys cannot be made; the daemon waits",
                    mend: "wait, or give a virtual machine a virtio-rng device"
                )
            )
        }
        return findings
    }

    private static func cipher(_ node: Examination) -> [Finding] {
        guard let cipher = node.status?.cipher, cipher != "ipsec-mb", node.configuration.cipher == nil,
            let flags = (node.host.read("/proc/cpuinfo") ?? "").split(separator: "\n").first(where: {
                $0.hasPrefix("flags")
            }),
            flags.split(separator: " ").contains("avx2")
        else { return [] }
        return [
            Finding(
                .info,
                "cipher.slower",
                .cipher,
                "\(cipher) computes the cipher; this processor has AVX2, which libipsec-mb makes more of",
                why: "sealing takes two to three times as long",
                mend: "apt-get install libipsec-mb1, and restart the daemon"
            )
        ]
    }

    private static func offloads(_ node: Examination) -> [Finding] {
        (node.status?.offloads ?? [:]).sorted { $0.key < $1.key }.compactMap { name, state in
            switch state {
            case "retreated":
                Finding(
                    .warning,
                    "offloads.retreated",
                    .kernel,
                    "the offload \(name) failed and is not used any more",
                    why: "every packet is handled alone where many went together",
                    mend: "the daemon's log has the error; after an update of kernel or driver restart the daemon"
                )
            case "missing":
                Finding(
                    .info,
                    "offloads.missing",
                    .kernel,
                    "this kernel lacks the offload \(name)",
                    why: "it works without, more slowly",
                    mend: "Linux 6.2 and later have all of them"
                )
            default: nil
            }
        }
    }

    private static func sandbox(_ node: Examination) -> [Finding] {
        guard let problems = node.status?.sandbox?.problems, !problems.isEmpty else { return [] }
        return [
            Finding(
                .warning,
                "kernel.sandbox",
                .kernel,
                "the daemon keeps more rights than it needs: \(problems.joined(separator: "; "))",
                why: "who takes it over can do more",
                mend: "`sandbox: auto`, and a kernel with seccomp and landlock (Documentation/security.md)"
            )
        ]
    }

    private static func kernel(_ node: Examination) -> [Finding] {
        var findings: [Finding] = []
        if node.host.status("/dev/net/tun") == nil {
            findings.append(
                Finding(
                    .error,
                    "kernel.tun",
                    .kernel,
                    "there is no /dev/net/tun",
                    why: "devices are made by it",
                    mend: "modprobe tun"
                )
            )
        }
        if node.status?.steering == "kernel" {
            findings.append(
                Finding(
                    .info,
                    "kernel.steering",
                    .kernel,
                    "the kernel steers flows to lanes by its own rule",
                    why: "a flow may change its lane, and be reordered then",
                    mend: "give the daemon CAP_BPF at its start, as vxseal@.service does; or lanes: 1"
                )
            )
        }
        return findings
    }
}
