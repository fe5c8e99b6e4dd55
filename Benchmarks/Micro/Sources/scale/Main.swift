import GatewayPair
import Glibc
import VXCrypto
import VXDataPlane

/// Whether a packet costs as much among 5,000 peers as with one, and what an idle peer costs in memory.
@main
struct Main {
    private static let counts = [1, 10, 100, 1_000, 5_000]
    private static let sizes = [64, 1428]
    private static let packets = 64_000
    private static let repetitions = 5

    static func main() throws {
        let provider = BulkCipher.Provider.available.last ?? .libsodium
        try measureMemory(provider)
        print(
            "\ncipher \(provider); frames to and from the peers in turn, runs and aggregation off; median of \(repetitions)"
        )
        print("| peers | forward 64 B ns | 1428 B | receive 64 B ns | 1428 B |\n|---|---|---|---|---|")
        var rows: [[Double]] = []
        for peers in counts {
            let pair = try GatewayPair(peers: peers, provider: provider, offloads: .none)
            let row = sizes.map { forwardCost(pair, size: $0) } + sizes.map { receiveCost(pair, size: $0) }
            print("| \(peers) | " + row.map { "\(Int($0.rounded()))" }.joined(separator: " | ") + " |")
            rows.append(row)
        }
        let worst = zip(rows[0], rows[rows.count - 1]).map { $1 / $0 }.max() ?? 0
        print("\(counts[counts.count - 1]) peers / 1 peer, worst column: \(rounded(worst)) (wanted: at most 1.5)")
    }

    /// Comes first, while the heap has no freed memory that would be used without being seen.
    private static func measureMemory(_ provider: BulkCipher.Provider) throws {
        let peers = 5_000
        let one = try IdleNode(peers: 1, provider: provider)
        let before = residentBytes()
        let many = try IdleNode(peers: peers, provider: provider)
        let after = residentBytes()
        withExtendedLifetime((one, many)) {}
        // What a node takes without peers is in the figure too, 1/5000 of it.
        let each = Double(after - before) / Double(peers) / 1024
        print("memory of an idle peer's session, two lanes, data plane: \(rounded(each)) KiB (wanted: below 32)")
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    /// Nanoseconds to forward and seal a frame.
    private static func forwardCost(_ pair: GatewayPair, size: Int) -> Double {
        let before = pair.sealed
        let cost = median {
            ContinuousClock().measure { pair.forward(packets, size: size) }
        }
        precondition(pair.sealed - before == packets * (repetitions + 1), "not every frame was sealed")
        return cost
    }

    /// Nanoseconds to open and deliver a datagram's frame.
    private static func receiveCost(_ pair: GatewayPair, size: Int) -> Double {
        let before = pair.delivered
        let cost = median {
            var total = Duration.zero
            for _ in 0..<packets / GatewayPair.mostPrepared {
                pair.prepare(GatewayPair.mostPrepared, size: size)
                total += ContinuousClock().measure { pair.receive() }
            }
            return total
        }
        precondition(pair.delivered - before == packets * (repetitions + 1), "not every frame was delivered")
        return cost
    }

    /// The median of some repetitions per packet, after one that does not count.
    private static func median(_ run: () -> Duration) -> Double {
        _ = run()
        let times = (0..<repetitions).map { _ in run() / .nanoseconds(1) / Double(packets) }
        return times.sorted()[repetitions / 2]
    }

    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, CInt(line.count), file) != nil else { return 0 }
        let fields = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self).split(separator: " ")
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(getpagesize())
    }
}
