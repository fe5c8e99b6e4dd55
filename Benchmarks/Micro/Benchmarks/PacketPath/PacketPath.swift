import Benchmark
import GatewayPair
import VXCrypto
import VXDataPlane

/// Frame sizes: a small one, and the largest of a 1500-byte underlay.
let frameSizes = [64, 1428]
/// Message sizes as in the table of the cipher's cost: a small frame's, a few of them, one datagram's, a run's.
let messageSizes = [80, 256, 1420, 8192]

let benchmarks: @Sendable () -> Void = {
    // A figure is of one call: samples are of a thousand.
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock],
        warmupIterations: 3,
        scalingFactor: .kilo,
        maxDuration: .milliseconds(500),
        maxIterations: 100_000
    )
    for provider in BulkCipher.Provider.available {
        for size in messageSizes {
            Benchmark("\(provider) seal \(size) B") { benchmark in
                let bench = try CipherBench(provider, size: size)
                benchmark.startMeasurement()
                bench.seal(benchmark.scaledIterations.count)
            }
            Benchmark("\(provider) open \(size) B") { benchmark in
                let bench = try CipherBench(provider, size: size)
                benchmark.startMeasurement()
                bench.open(benchmark.scaledIterations.count)
            }
        }
        for size in frameSizes {
            Benchmark("\(provider) forward a frame of \(size) B") { benchmark in
                let pair = try GatewayPair(peers: 1, provider: provider, offloads: PacketOffloads())
                benchmark.startMeasurement()
                pair.forward(benchmark.scaledIterations.count, size: size)
                benchmark.stopMeasurement()
                precondition(pair.sealed == benchmark.scaledIterations.count, "not every frame was sealed")
            }
            Benchmark(
                "\(provider) receive \(GatewayPair.mostPrepared) frames of \(size) B",
                configuration: .init(scalingFactor: .one)
            ) { benchmark in
                let pair = try GatewayPair(peers: 1, provider: provider, offloads: .none)
                pair.prepare(GatewayPair.mostPrepared, size: size)
                benchmark.startMeasurement()
                pair.receive()
                benchmark.stopMeasurement()
                precondition(pair.delivered == GatewayPair.mostPrepared, "not every frame was delivered")
            }
        }
        Benchmark("\(provider) segment a 64 KB super-frame") { benchmark in
            let pair = try GatewayPair(peers: 1, provider: provider, offloads: PacketOffloads())
            benchmark.startMeasurement()
            pair.forwardSuperFrames(benchmark.scaledIterations.count)
            benchmark.stopMeasurement()
            precondition(pair.sealed > benchmark.scaledIterations.count, "super-frames were not cut")
        }
        Benchmark("\(provider) coalesce a 64 KB run", configuration: .init(scalingFactor: .one)) { benchmark in
            let pair = try GatewayPair(peers: 1, provider: provider, offloads: PacketOffloads())
            let segments = pair.prepareRun()
            benchmark.startMeasurement()
            let frames = pair.receiveRun()
            benchmark.stopMeasurement()
            precondition(segments > 1 && frames == 1, "\(segments) segments became \(frames) frames")
        }
    }
}
