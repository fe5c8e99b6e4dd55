import Foundation
import Testing
import VXDataPlane

/// The replay window against the facts of Vectors/replay-rfc6479.json and against a set that forgets nothing.
@Suite struct ReplayWindowTests {
    /// `W`, `LIMIT`, numbers, and sums, differences and products of them.
    private func value(_ expression: String) -> UInt64 {
        let constants: [String: UInt64] = ["W": ReplayWindow.width, "LIMIT": ReplayWindow.limit]
        var total: UInt64 = 0
        var sign: UInt64 = 1
        for part in expression.split(separator: " ") {
            if part == "+" || part == "-" {
                sign = part == "+" ? 1 : 0 &- 1
                continue
            }
            let product = part.split(separator: "*").reduce(UInt64(1)) {
                $0 &* (constants[String($1)] ?? UInt64($1) ?? 0)
            }
            total = total &+ sign &* product
        }
        return total
    }

    private func take(_ counter: UInt64, _ window: inout ReplayWindow) -> Bool {
        guard window.check(counter) == .fresh else { return false }
        window.mark(counter)
        return true
    }

    @Test("every case of the vectors")
    func vectors() throws {
        let url = try #require(
            Bundle.module.url(forResource: "replay-rfc6479", withExtension: "json", subdirectory: "Vectors")
        )
        let file = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        #expect(file["window"] as? UInt64 == ReplayWindow.width)
        for test in try #require(file["cases"] as? [[String: Any]]) {
            let name = test["name"] as? String ?? ""
            var window = ReplayWindow()
            func run(_ steps: Any?) {
                for step in steps as? [[Any]] ?? [] {
                    let accepted = take(value(step[0] as? String ?? ""), &window)
                    #expect(accepted == step[1] as? Bool, "\(name): \(step[0])")
                }
            }
            run(test["steps"])
            for range in test["ranges"] as? [[String: Any]] ?? [] {
                let step = range["step"] as? Int ?? 1
                var counter = value(range["from"] as? String ?? "")
                let last = value(range["to"] as? String ?? "")
                while step > 0 ? counter <= last : counter >= last {
                    let accepted = take(counter, &window)
                    #expect(accepted == range["accepted"] as? Bool, "\(name): \(counter)")
                    if step < 0, counter < UInt64(-step) { break }
                    counter = step > 0 ? counter + UInt64(step) : counter - UInt64(-step)
                }
            }
            for counter in test["unauthenticated"] as? [String] ?? [] { _ = window.check(value(counter)) }
            run(test["then"])
        }
    }

    @Test("random counters against a simple model", arguments: 1...8)
    func model(seed: UInt64) {
        var window = ReplayWindow()
        var seen: Set<UInt64> = []
        var highest: UInt64?
        var state = seed
        for _ in 0..<40_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let spread = (state >> 33) % 20_000
            let counter =
                (highest ?? 0) &+ (state >> 60 == 0 ? spread : spread % 64) &- min(highest ?? 0, spread % 10_000)
            let isInside = highest.map { counter > $0 || $0 - counter < ReplayWindow.width } ?? true
            let expected = isInside && !seen.contains(counter)
            let accepted = take(counter, &window)
            #expect(accepted == expected)
            if accepted {
                seen.insert(counter)
                highest = max(highest ?? 0, counter)
            }
        }
    }
}
