public import VXCrypto

/// What makes a record believed beside its own signature (product.md, `trust`).
public enum TrustPolicy: Sendable, Equatable {
    /// What the directory says: who can write to it can name any key.
    case directory
    /// The signing key that a name was first seen with.
    case pinned
    /// Those that an operator signed.
    case roster(SignedRoster)

    /// What the configuration calls it.
    public var name: String {
        switch self {
        case .directory: "directory"
        case .pinned: "pinned"
        case .roster: "roster"
        }
    }
}

/// A list of nodes and their signing keys, signed offline by a key that no node has.
public struct SignedRoster: Sendable, Equatable {
    /// The signing key of each node's name.
    public let signers: [String: SigningKey]
    /// Higher than that of the roster before.
    public let sequence: UInt64

    private static let purpose = "vxseal roster 1\n"
    /// More than 20,000 nodes take.
    static let largestText = 8 << 20

    /// Why a file is no roster.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        /// What is wrong, with its line.
        public let description: String
    }

    /// From its parts.
    public init(signers: [String: SigningKey], sequence: UInt64) {
        self.signers = signers
        self.sequence = sequence
    }

    // The file: a line each, `sequence N`, then `NAME KEY` in the names' order, and at last `signature BASE64` over all lines
    // before.

    private var body: String {
        (["sequence \(sequence)"] + signers.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })
            .map { $0 + "\n" }.joined()
    }

    /// The file's text.
    public func signed(by key: SigningKeyPair) -> String {
        let body = body
        let signature = key.sign(Array((Self.purpose + body).utf8))
        return body + "signature " + Base64.encode(signature) + "\n"
    }

    /// Reads a signed file.
    /// - Parameters:
    ///   - text: the file.
    ///   - key: the operator's.
    public init(_ text: String, key: SigningKey) throws(Failure) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.largestText, lines.last == "", let last = lines.dropLast().last,
            last.hasPrefix("signature "), let signature = Base64.decode(String(last.dropFirst("signature ".count)))
        else { throw Failure(description: "the roster does not end with a signature; sign it: vxseal roster sign") }
        let body = lines.dropLast(2).map { $0 + "\n" }.joined()
        guard key.verifies(signature, of: Array((Self.purpose + body).utf8)) else {
            throw Failure(
                description: "the roster's signature is not by rosterKey; sign it again, or name the right key"
            )
        }
        try self.init(unsigned: body)
    }

    /// Reads the lines that are to be signed, or were.
    public init(unsigned body: String) throws(Failure) {
        var signers: [String: SigningKey] = [:]
        var sequence: UInt64?
        for (number, line) in body.split(separator: "\n").enumerated() {
            let words = line.split(separator: " ").map(String.init)
            func fail(_ what: String) -> Failure { Failure(description: "line \(number + 1) of the roster: \(what)") }
            guard words.count == 2 else { throw fail("write a name and a key") }
            if number == 0 {
                guard words[0] == "sequence", let value = UInt64(words[1]) else {
                    throw fail("write `sequence NUMBER`")
                }
                sequence = value
                continue
            }
            guard SealRecord.isName(words[0]) else { throw fail("`\(words[0])` is no node's name") }
            guard let key = SigningKey(base64: words[1]) else { throw fail("no signing key in base64") }
            guard signers.updateValue(key, forKey: words[0]) == nil else { throw fail("\(words[0]) stands twice") }
        }
        guard let sequence else { throw Failure(description: "the roster is empty; begin it with `sequence 1`") }
        self.init(signers: signers, sequence: sequence)
    }
}
