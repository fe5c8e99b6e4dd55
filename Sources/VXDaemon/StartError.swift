/// Why the daemon did not start: what, where, how to mend it.
public struct StartError: Error, CustomStringConvertible {
    /// The text.
    public let description: String

    init(_ description: String) { self.description = description }
}
