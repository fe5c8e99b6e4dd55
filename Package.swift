// swift-tools-version: 6.2
import Foundation
import PackageDescription

// One package: the pure targets at the bottom know neither sockets nor Foundation, see CONTRIBUTING.md for the arrows.

let strict: [SwiftSetting] = [.strictMemorySafety()]

// CI does; a user's compiler may be another one, with warnings of its own.
let refusesWarnings: [SwiftSetting] =
    Context.environment["VXSEAL_WARNINGS"] == "error" ? [.treatAllWarnings(as: .error)] : []

// libipsec-mb is for amd64 and has no pkg-config file: its provider is built where its header is found, and the rest
// does not need it.
let hasIPSecMB = ["/usr/include", "/usr/local/include"].contains {
    FileManager.default.fileExists(atPath: $0 + "/intel-ipsec-mb.h")
}

// The CNI plugin is copied to hosts with another C library: releases of it are static where the toolchain can, which
// the Makefile finds out.
let staticPlugin: [LinkerSetting] =
    Context.environment["VXSEAL_STATIC_PLUGIN"] == "1"
    ? [.unsafeFlags(["-static-executable"], .when(configuration: .release))] : []

let package = Package(
    name: "vxseal",
    products: [
        .executable(name: "vxseal", targets: ["vxseal"]),
        .executable(name: "vxseal-cni", targets: ["vxseal-cni"]),
        // For Benchmarks/Micro alone; its interface is not promised to anybody.
        .library(name: "VXPacketPath", targets: ["VXWire", "VXCrypto", "VXDataPlane"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.12.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.32.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.34.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        // C borders: module maps and header-only shims, no logic.
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CNetlink", pkgConfig: "libnl-route-3.0", providers: [.apt(["libnl-route-3-dev"])]),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .target(name: "CVXLinux"),

        // Pure: bytes and `now` in, actions out.
        .target(name: "VXWire", swiftSettings: strict),
        .target(
            name: "VXCrypto",
            dependencies: ["VXWire", "CSodium", "CLibcrypto", .product(name: "Crypto", package: "swift-crypto")]
                + (hasIPSecMB ? ["CIPSecMB"] : []),
            swiftSettings: hasIPSecMB ? [.define("VX_IPSEC_MB")] : []
        ),
        .target(name: "VXHandshake", dependencies: ["VXWire", "VXCrypto"], swiftSettings: strict),
        .target(name: "VXDataPlane", dependencies: ["VXWire", "VXCrypto"]),

        // Borders to the kernel.
        .target(name: "VXLinux", dependencies: ["VXWire", "CVXLinux", "CSeccomp"]),
        .target(name: "VXNetlink", dependencies: ["VXWire", "CNetlink"]),

        // Composition.
        .target(
            name: "VXRuntime",
            dependencies: ["VXWire", "VXCrypto", "VXHandshake", "VXDataPlane", "VXLinux"]
        ),
        .target(
            name: "VXConfig",
            dependencies: ["VXWire", "VXCrypto", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict
        ),
        .target(name: "VXControl", dependencies: ["VXWire", "VXCrypto", "VXConfig"], swiftSettings: strict),
        .target(
            name: "VXEtcd",
            dependencies: [
                "VXWire", "VXConfig", "VXControl",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "VXKubernetes",
            dependencies: [
                "VXWire", "VXConfig", "VXControl",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "VXMetrics",
            dependencies: [.product(name: "CoreMetrics", package: "swift-metrics")],
            swiftSettings: strict
        ),
        .target(
            name: "VXControlSocket",
            dependencies: [
                "VXMetrics",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "VXDaemon",
            dependencies: [
                "VXWire", "VXCrypto", "VXHandshake", "VXDataPlane", "VXLinux", "VXNetlink", "VXRuntime", "VXConfig",
                "VXControlSocket", "VXMetrics",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .target(
            name: "VXDoctor",
            dependencies: [
                "VXWire", "VXCrypto", "VXDataPlane", "VXLinux", "VXNetlink", "VXConfig", "VXControlSocket", "VXDaemon",
            ]
        ),
        .target(
            name: "VXAgent",
            dependencies: [
                "VXWire", "VXCrypto", "VXLinux", "VXNetlink", "VXConfig", "VXControl", "VXControlSocket", "VXDaemon",
                "VXEtcd", "VXKubernetes",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .target(
            name: "VXCommands",
            dependencies: [
                "VXWire", "VXCrypto", "VXLinux", "VXConfig", "VXControl", "VXControlSocket", "VXDaemon", "VXDoctor",
                "VXAgent",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .executableTarget(name: "vxseal", dependencies: ["VXCommands"]),
        .target(name: "VXCNI", dependencies: ["VXWire", "VXLinux", "VXNetlink"]),
        .executableTarget(name: "vxseal-cni", dependencies: ["VXCNI"], linkerSettings: staticPlugin),

        .testTarget(name: "VXWireTests", dependencies: ["VXWire"]),
        .testTarget(
            name: "VXCryptoTests",
            dependencies: ["VXCrypto", "VXWire", "CSodium"],
            resources: [.copy("Vectors")],
            swiftSettings: hasIPSecMB ? [.define("VX_IPSEC_MB")] : []
        ),
        .testTarget(
            name: "VXHandshakeTests",
            dependencies: ["VXHandshake", "VXCrypto", "VXWire"],
            resources: [.copy("Vectors")]
        ),
        .testTarget(
            name: "VXDataPlaneTests",
            dependencies: ["VXDataPlane", "VXCrypto", "VXWire"],
            resources: [.copy("Vectors")]
        ),
        .testTarget(
            name: "VXControlTests",
            dependencies: ["VXControl", "VXConfig", "VXCrypto", "VXWire"],
            resources: [.copy("Vectors")]
        ),
        .testTarget(
            name: "VXAgentTests",
            dependencies: ["VXAgent", "VXControl", "VXConfig", "VXNetlink", "VXCrypto", "VXWire"]
        ),
        .testTarget(
            name: "VXEtcdTests",
            dependencies: [
                "VXEtcd", "VXControl", "VXConfig", "VXWire",
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        // A Kubernetes API for tests and, as a program, for scripts.
        .target(
            name: "KubernetesStandIn",
            dependencies: [
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            path: "Tests/KubernetesStandIn"
        ),
        .executableTarget(
            name: "kube-api-stand-in",
            dependencies: ["KubernetesStandIn"],
            path: "Tools/kube-api-stand-in"
        ),
        .testTarget(
            name: "VXKubernetesTests",
            dependencies: [
                "VXKubernetes", "KubernetesStandIn", "VXControl", "VXConfig", "VXWire",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Yams", package: "Yams"),
            ]
        ),
        .testTarget(name: "SimulationTests", dependencies: ["VXHandshake", "VXDataPlane", "VXCrypto", "VXWire"]),
        .testTarget(name: "VXLinuxTests", dependencies: ["VXLinux", "VXWire"]),
        .testTarget(name: "VXRuntimeTests", dependencies: ["VXRuntime", "VXLinux", "VXWire"]),
        .testTarget(
            name: "VXDaemonTests",
            dependencies: [
                "VXDaemon", "VXControlSocket", "VXMetrics", "VXRuntime", "VXConfig", "VXDataPlane", "VXHandshake",
                "VXCrypto", "VXWire",
                .product(name: "Metrics", package: "swift-metrics"),
            ]
        ),
        .testTarget(
            name: "VXMetricsTests",
            dependencies: ["VXMetrics", .product(name: "Metrics", package: "swift-metrics")]
        ),
        .testTarget(
            name: "VXControlSocketTests",
            dependencies: [
                "VXControlSocket",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
            ]
        ),
        .testTarget(
            name: "VXCommandsTests",
            dependencies: [
                "VXCommands", "VXControlSocket", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .testTarget(
            name: "VXDoctorTests",
            dependencies: ["VXDoctor", "VXConfig", "VXControlSocket", "VXCrypto", "VXWire"]
        ),
        .testTarget(name: "VXCNITests", dependencies: ["VXCNI", "VXNetlink", "VXWire"]),
        .testTarget(name: "VXConfigTests", dependencies: ["VXConfig", "VXCrypto", "VXWire"]),
        .testTarget(name: "IntegrationTests", resources: [.copy("Scripts")]),
    ],
    swiftLanguageModes: [.v6]
)

if hasIPSecMB { package.targets.append(.systemLibrary(name: "CIPSecMB", providers: [.apt(["libipsec-mb-dev"])])) }

// Settings every Swift target shares.
for target in package.targets where target.type != .system && !target.name.hasPrefix("C") {
    var settings = target.swiftSettings ?? []
    settings += refusesWarnings
    settings += [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableExperimentalFeature("Lifetimes"),
    ]
    target.swiftSettings = settings
}
