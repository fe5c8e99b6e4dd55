import VXCrypto

/// The keys of `keys-example/`, which everybody has: a daemon refuses them unless it is told otherwise.
enum ExampleKeys {
    /// The public keys, base64.
    static let publicKeys: Set<String> = [
        "Vqs3qDJfZhbiIRixic0p6gjxG0J3ycHHM1AkK/JuoCk=",
        "OsXa4DRtizRm3I9GVF95/O8wtlc6VMRuUsbKJcp3D3s=",
        "lr/lHR+ORbaJ2MKKC8tpF2nORe6hYJNdkrbegVHipVM=",
    ]

    /// BLAKE2b-256 of the preshared keys, hexadecimal.
    static let presharedKeyFingerprints: Set<String> = [
        "6218a8cf8ef9082e84c4d44e69143d6ef23b0840e3d8e586a0d15a0c96f0ad12"
    ]

    static func contains(_ key: PublicKey) -> Bool { publicKeys.contains(key.base64) }

    static func contains(_ key: PresharedKey) -> Bool {
        presharedKeyFingerprints.contains(
            key.fingerprint.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        )
    }
}
