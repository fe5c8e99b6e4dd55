public import VXCrypto
public import VXHandshake

/// Where rotations' state is kept (protocol.md, 6). Every call returns when the disk has it, or throws and has changed
/// nothing.
public protocol StateStore: Sendable {
    /// Replaces the state.
    func write(_ state: DurableState) throws
    /// Writes the next identity beside the present one. Refuses when the key file no longer holds that.
    func writeSuccessor(_ key: StaticKeyPair, beside present: PublicKey) throws
    /// Removes a next identity that no peer has heard of.
    func discardSuccessor()
    /// Puts the next identity in the present one's place, which erases that. Refuses when the key file holds another key
    /// than the one that is replaced.
    func promoteSuccessor(replacing old: PublicKey, by new: PublicKey) throws
}
