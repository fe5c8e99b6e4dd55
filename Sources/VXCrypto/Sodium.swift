import CSodium

/// The library behind every primitive but ML-KEM.
public enum Sodium {
    /// Initialises libsodium once; every entry to it from this module has passed here. A failure means that the kernel
    /// gives no randomness: nothing can be done then.
    public static func initialize() {
        _ = once
    }

    private static let once: Void = {
        precondition(sodium_init() >= 0, "libsodium cannot initialise: no source of randomness")
    }()
}
