import Foundation
import VXControlSocket
import VXCrypto

/// The demonstration itself: three nodes, a router between them, and a table of what was shown.
final class DemoStage {
    private static let marker = "vxseal-marker-42"
    private let directory: String
    private let shell: DemoShell
    private let binary = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    private var rows: [(what: String, seen: String, isGood: Bool)] = []

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("vxseal-demo-\(UUID())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        shell = try DemoShell(logFile: directory + "/log")
    }

    /// For an end by signal.
    var scene: DemoShell.Scene { shell.scene(directory: directory) }

    func end() {
        shell.stopAll()
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func note(_ what: String, _ seen: String, _ isGood: Bool) {
        guard !shell.isEnded else { return }
        rows.append((what, seen, isGood))
        Terminal.say("  \(isGood ? "ok  " : "FAIL")  \(what): \(seen)")
    }

    func play() async throws {
        Terminal.say("building an underlay: vx-a, vx-b and vx-k with a router vx-r between them")
        try buildUnderlay()
        try writeNodes()
        for name in ["vx-a", "vx-b"] {
            _ = try shell.start(
                "ip netns exec \(name) \(binary) up --allow-volatile-state -c \(directory)/\(name).yaml"
            )
        }
        let (left, right) = (
            AdminClient(socket: directory + "/vx-a.sock"), AdminClient(socket: directory + "/vx-b.sock")
        )
        let isUp = try await poll(seconds: 20) {
            guard let first = try? await left.status(), let second = try? await right.status() else { return false }
            return [first, second].allSatisfy { $0.peers.contains { $0.state == "established" && $0.postQuantum } }
        }
        note("handshake", isUp ? "established, post-quantum" : "no session within 20 s", isUp)
        let watch = try shell.start("ip netns exec vx-r \(binary) demo-traffic watch \(Self.marker)")
        guard isUp, watch.readLine() == "ready" else {
            let log = (try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? ""
            throw CommandFailure("error: the demonstration failed to start; the nodes said:\n\(log)")
        }
        try showFrames()
        try showWire(watch)
        try showBulk()
        try await showRotation(left)
        _ = watch.stop()
        let failed = rows.filter { !$0.isGood }.count
        Terminal.say("\n" + Terminal.table(["SHOWN", "SEEN"], rows.map { [$0.what, $0.seen] }))
        if failed > 0 { throw CommandFailure("error: \(failed) of \(rows.count) failed") }
        Terminal.say("\nall \(rows.count) shown")
    }

    private func buildUnderlay() throws {
        try shell.must("mount -t tmpfs t /run")
        try shell.must("mkdir -p /run/netns")
        for name in ["vx-a", "vx-b", "vx-k", "vx-r"] {
            try shell.must("ip netns add \(name)")
            try shell.must("ip -n \(name) link set lo up")
        }
        for (place, name) in ["a", "b", "k"].enumerated() {
            let (host, router) = (place * 64 + 1, place * 64 + 62)
            try shell.must("ip link add name u\(name) netns vx-\(name) type veth peer name r\(name) netns vx-r")
            try shell.must("ip -n vx-\(name) addr add 192.0.2.\(host)/26 dev u\(name)")
            try shell.must("ip -n vx-r addr add 192.0.2.\(router)/26 dev r\(name)")
            try shell.must("ip -n vx-\(name) link set u\(name) up")
            try shell.must("ip -n vx-r link set r\(name) up")
            try shell.must("ip -n vx-\(name) route add default via 192.0.2.\(router)")
        }
        try shell.must("ip netns exec vx-r sysctl -qw net.ipv4.ip_forward=1")
        // The kernel's own VTEP, and a kernel VXLAN listener beside the sealed node that must get nothing.
        try shell.must("ip -n vx-k link add vx43 type vxlan id 43 dstport 4789 local 192.0.2.129 remote 192.0.2.1")
        try shell.must("ip -n vx-k addr add 10.99.0.9/24 dev vx43")
        try shell.must("ip -n vx-k link set vx43 up")
        try shell.must("ip -n vx-b link add vx42 type vxlan id 42 dstport 4789 local 192.0.2.65")
        try shell.must("ip -n vx-b link set vx42 up")
    }

    private func writeNodes() throws {
        let keys = [StaticKeyPair(), StaticKeyPair()]
        for (place, name) in ["vx-a", "vx-b"].enumerated() {
            let other = 1 - place
            keys[place].withBase64 { text in
                _ = FileManager.default.createFile(
                    atPath: "\(directory)/\(name).key",
                    contents: Data(text.utf8),
                    attributes: [.posixPermissions: 0o600]
                )
            }
            var yaml = """
                node: \(name)
                privateKeyFile: \(name).key
                stateDirectory: \(directory)/state-\(name)
                adminSocket: \(directory)/\(name).sock
                networks:
                  - {vni: 42, device: vxs42, addresses: [10.98.0.\(place + 1)/24, "fd98::\(place + 1)/64"]}

                """
            if place == 0 { yaml += "  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.1/24]}\n" }
            yaml += """
                peers:
                  - {name: \(["vx-a", "vx-b"][other]), publicKey: "\(keys[other].publicKey)", endpoint: "192.0.2.\(other * 64 + 1):47890", networks: [42]}

                """
            if place == 0 {
                yaml += "  - {name: vx-k, plaintext: true, endpoint: \"192.0.2.129:4789\", networks: [43]}\n"
            }
            try yaml.write(toFile: "\(directory)/\(name).yaml", atomically: true, encoding: .utf8)
        }
    }

    private func showFrames() throws {
        let pings = [
            ("sealed ping, IPv4", "vx-a", "10.98.0.2"), ("sealed ping, IPv6", "vx-b", "fd98::1"),
            ("plaintext ping to the kernel", "vx-a", "10.99.0.9"), ("plaintext ping from it", "vx-k", "10.99.0.1"),
        ]
        for (what, from, to) in pings {
            let pattern = Self.marker.utf8.map { String($0, radix: 16) }.joined()
            let result = shell.run("ip netns exec \(from) ping -q -c 5 -i 0.1 -W 2 -s 400 -p \(pattern) \(to)")
            let loss = result.output.split(separator: ",").first { $0.contains("loss") } ?? " no answer"
            note(what, loss.trimmingCharacters(in: .whitespaces), result.isGood)
        }
    }

    /// The same marker went through both networks: the router must have read it in one of them only.
    private func showWire(_ watch: DemoShell.Child) throws {
        watch.write("count")
        var counts: [String: [Int]] = [:]
        while let line = watch.readLine(), line != "done" {
            let fields = line.split(separator: " ").map(String.init)
            counts[fields[0]] = fields.dropFirst().compactMap { Int($0) }
        }
        let sealed = counts["47890"] ?? [0, 0]
        let clear = counts["4789"] ?? [0, 0]
        note("marker on the plaintext wire", "\(clear[1]) of \(clear[0]) datagrams", clear[1] > 0)
        note("marker on the sealed wire", "\(sealed[1]) of \(sealed[0]) datagrams", sealed[0] > 20 && sealed[1] == 0)
        let listener = shell.run("ip netns exec vx-b cat /sys/class/net/vx42/statistics/rx_packets")
        let heard = listener.output.trimmingCharacters(in: .whitespacesAndNewlines)
        note("frames at a kernel VXLAN listener", heard, listener.isGood && heard == "0")
    }

    /// One TCP stream, which the kernel's own stack judges.
    private func showBulk() throws {
        let server = try shell.start("ip netns exec vx-b iperf3 --server --one-off --forceflush")
        while let line = server.readLine(), !line.hasPrefix("Server listening") {}
        let client = shell.run("ip netns exec vx-a iperf3 --client 10.98.0.2 --time 2 --json")
        let report = try? JSONDecoder().decode(BulkReport.self, from: Data(client.output.utf8))
        let rate = report.map { String(format: "%.2f Gbit/s", $0.end.received.bitsPerSecond / 1e9) }
        note("bulk TCP through the sealed network", rate ?? "no stream", client.isGood && rate != nil)
    }

    /// What is read of iperf3's report.
    private struct BulkReport: Decodable {
        struct End: Decodable {
            let received: Sum

            enum CodingKeys: String, CodingKey { case received = "sum_received" }
        }

        struct Sum: Decodable {
            let bitsPerSecond: Double

            enum CodingKeys: String, CodingKey { case bitsPerSecond = "bits_per_second" }
        }

        let end: End
    }

    /// Numbered datagrams through the sealed network while keys of every kind change under them.
    private func showRotation(_ client: AdminClient) async throws {
        let total = 24_000
        let receiver = try shell.start("ip netns exec vx-b \(binary) demo-traffic receive 7000")
        guard receiver.readLine() == "ready" else { throw CommandFailure("error: the receiver did not start") }
        let before = try await client.status().peers[0].handshakes
        let sender = try shell.start("ip netns exec vx-a \(binary) demo-traffic send 10.98.0.2:7000 \(total) 3000")
        for _ in 0..<4 {
            let count = try await client.status().peers[0].handshakes
            _ = try await client.rotateSession(peer: "vx-b")
            guard try await poll(seconds: 10, { (try? await client.status().peers[0].handshakes) ?? count > count })
            else { break }
        }
        let after = try await client.status().peers[0].handshakes
        note("session keys rotated under load", "\(after - before) times", after - before >= 4)
        let old = try await client.rotateIdentity(overlapSeconds: 3600).open?.oldKey ?? ""
        let isSwitched = try await poll(seconds: 10) { try await client.rotationStatus().publicKey != old }
        let new = try await client.rotationStatus().publicKey
        note(
            "identity rotated under load",
            isSwitched ? "\(old.prefix(8)) to \(new.prefix(8))" : "not within 10 s",
            isSwitched
        )
        _ = try await client.rotatePSK(peer: "vx-b")
        let isAgreed = try await poll(seconds: 10) { try await client.rotationStatus().peers[0].pskGeneration == 1 }
        note("preshared key rotated under load", isAgreed ? "generation 0 to 1" : "not within 10 s", isAgreed)
        let sent = Int(sender.readLine() ?? "") ?? 0
        let fields = (receiver.readLine() ?? "").split(separator: " ").compactMap { Int($0) }
        guard fields.count == 3 else { return note("frames under rotations", "no count", false) }
        note(
            "frames under rotations",
            "\(sent) sent, \(sent - fields[0]) lost, \(fields[1]) twice, \(fields[2]) out of order",
            sent == total && fields == [total, 0, 0]
        )
    }

    private func poll(seconds: Double, _ isDone: () async throws -> Bool) async throws -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while Date() < deadline {
            if try await isDone() { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }
}
