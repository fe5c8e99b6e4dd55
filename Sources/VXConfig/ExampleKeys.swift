import VXCrypto

/// The keys of `keys-example/`, which everybody has: a daemon refuses them unless it is told otherwise.
enum ExampleKeys {
    /// The public keys, base64.
    static let publicKeys: Set<String> = [
        "@NODE_A@",
        "@NODE_B@",
        "@NODE_C@",
    ]

    /// BLAKE2b-256 of the preshared keys, hexadecimal.
    static let presharedKeyFingerprints: Set<String> = [
        "@PSK@"
    ]

    static func contains(_ key: PublicKey) -> Bool { publicKeys.contains(key.base64) }

    static func contains(_ key: PresharedKey) -> Bool {
        presharedKeyFingerprints.contains(
            key.fingerprint.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        )
    }
}
