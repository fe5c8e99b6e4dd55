// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that who builds vxseal neither fetches nor builds what only measuring needs.

let package = Package(
    name: "vxseal-micro",
    dependencies: [
        .package(name: "vxseal", path: "../.."),
        // Without its traits it needs no allocator of its own.
        .package(url: "https://github.com/ordo-one/benchmark.git", from: "1.38.1", traits: []),
    ],
    targets: [
        .target(name: "GatewayPair", dependencies: [.product(name: "VXPacketPath", package: "vxseal")]),
        .executableTarget(
            name: "scale",
            dependencies: ["GatewayPair", .product(name: "VXPacketPath", package: "vxseal")]
        ),
        .executableTarget(
            name: "PacketPath",
            dependencies: [
                "GatewayPair",
                .product(name: "VXPacketPath", package: "vxseal"),
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Benchmarks/PacketPath",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        ),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets {
    target.swiftSettings = [
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]
}
