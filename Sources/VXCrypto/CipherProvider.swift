extension BulkCipher {
    /// A library that computes ChaCha20-Poly1305.
    public enum Provider: String, Sendable, CaseIterable, CustomStringConvertible {
        /// The reference, always there.
        case libsodium
        /// OpenSSL's libcrypto, on every architecture.
        case openssl
        /// Intel's libipsec-mb, amd64 only.
        case ipsecMB = "ipsec-mb"

        /// The name in the configuration and in `status`.
        public var description: String { rawValue }

        /// Why it is not used here; nil for one that has proven itself. It is tried once, when first asked for.
        public var refusal: Refusal? {
            switch self {
            case .libsodium: nil
            case .openssl: Self.openSSLRefusal
            case .ipsecMB: Self.ipsecMBRefusal
            }
        }

        /// Those that have proven themselves.
        public static var available: [Provider] { allCases.filter { $0.refusal == nil } }

        private static let openSSLRefusal = trial(of: .openssl)
        private static let ipsecMBRefusal = trial(of: .ipsecMB)

        private static func trial(of provider: Provider) -> Refusal? {
            do {
                return CipherTrial.refusal(of: try BulkCipher.untried(provider))
            } catch {
                return error
            }
        }
    }

    /// Why a provider is not used: what, and how to mend it.
    public struct Refusal: Error, Sendable, CustomStringConvertible {
        /// Which one.
        public let provider: Provider
        /// What is wrong.
        public let what: String
        /// How to mend it.
        public let mend: String

        init(_ provider: Provider, _ what: String, _ mend: String) {
            self.provider = provider
            self.what = what
            self.mend = mend
        }

        /// All three in one line.
        public var description: String { "\(provider): \(what); \(mend)" }
    }

    /// A cipher of a provider that has proven itself, with a context of its own.
    public static func make(_ provider: Provider) throws(Refusal) -> BulkCipher {
        if let refusal = provider.refusal { throw refusal }
        return try untried(provider)
    }

    private static func untried(_ provider: Provider) throws(Refusal) -> BulkCipher {
        switch provider {
        case .libsodium: return libsodium()
        case .openssl: return try openSSL()
        case .ipsecMB:
            #if VX_IPSEC_MB
                return try ipsecMB()
            #else
                throw Refusal(
                    .ipsecMB,
                    "this program was built without it",
                    "install libipsec-mb-dev (amd64) and build again, or set cipher: auto"
                )
            #endif
        }
    }
}
