import VXConfig
public import VXCrypto
public import VXWire

/// What a sealed node publishes beside its lease, outside all that flannel reads: in etcd under `vxseal/nodes/` of flannel's
/// prefix, in Kubernetes the annotation `vxseal.io/peer`. Signed by the node's own signing key, so that who can write to the
/// directory cannot give the node's name to another key, or its lease another address, without being noticed by those who
/// know that key.
public struct SealRecord: Sendable, Hashable {
    /// The node's name.
    public var node: String
    /// The identity that its sealed sessions use.
    public var publicKey: PublicKey
    /// The identity that a rotation under way will replace it by.
    public var nextKey: PublicKey?
    /// Where it listens for sealed datagrams, by family; the address is one of the lease's.
    public var endpoints: [Endpoint]
    /// The lease's subnets.
    public var subnets: [IPPrefix]
    /// The device that its lease names.
    public var mac: MACAddress
    /// It sends nothing in the clear, and takes nothing.
    public var isStrict: Bool
    /// Higher than that of every record before: milliseconds since 1970 where the clock has not gone back.
    public var sequence: UInt64

    /// Why a text is no record to go by.
    public enum Failure: Error, Equatable {
        /// It cannot be read; the field.
        case malformed(String)
        /// Its signature is not by the key that it names.
        case badSignature
    }

    /// More than any node writes.
    public static let largestText = 8192
    private static let purpose = "vxseal record 1\n"

    /// From its parts.
    public init(
        node: String,
        publicKey: PublicKey,
        nextKey: PublicKey?,
        endpoints: [Endpoint],
        subnets: [IPPrefix],
        mac: MACAddress,
        isStrict: Bool,
        sequence: UInt64
    ) {
        self.node = node
        self.publicKey = publicKey
        self.nextKey = nextKey
        self.endpoints = endpoints
        self.subnets = subnets
        self.mac = mac
        self.isStrict = isStrict
        self.sequence = sequence
    }

    // MARK: - Writing

    private var body: String {
        var text = "{\"node\":\(node.jsonText),\"publicKey\":\"\(publicKey)\""
        if let nextKey { text += ",\"nextKey\":\"\(nextKey)\"" }
        text += ",\"endpoints\":[\(endpoints.map { "\"\($0)\"" }.joined(separator: ","))]"
        text += ",\"subnets\":[\(subnets.map { "\"\($0)\"" }.joined(separator: ","))]"
        return text + ",\"mac\":\"\(mac)\",\"strict\":\(isStrict),\"sequence\":\(sequence)}"
    }

    /// The text to publish.
    public func signed(by key: SigningKeyPair) -> String {
        let body = body
        let signature = key.sign(Array((Self.purpose + body).utf8))
        return "{\"v\":1,\"record\":\(body.jsonText),\"signer\":\"\(key.publicKey)\","
            + "\"signature\":\"\(Base64.encode(signature))\"}"
    }

    // MARK: - Reading

    /// Reads a published text.
    /// - Returns: the record, and the key that signed it: whether that is the node's is for the caller to know.
    public static func read(_ text: String) throws(Failure) -> (record: SealRecord, signer: SigningKey) {
        guard text.utf8.count <= largestText else { throw .malformed("\(text.utf8.count) bytes") }
        guard let outer = JSONValue(parsing: text), outer["v"]?.number == 1 else { throw .malformed("v") }
        guard let body = outer["record"]?.text else { throw .malformed("record") }
        guard let signer = outer["signer"]?.text.flatMap(SigningKey.init(base64:)) else { throw .malformed("signer") }
        guard let signature = outer["signature"]?.text.flatMap(Base64.decode) else {
            throw .malformed("signature")
        }
        guard signer.verifies(signature, of: Array((purpose + body).utf8)) else { throw .badSignature }
        return (try SealRecord(body: body), signer)
    }

    private init(body: String) throws(Failure) {
        guard let value = JSONValue(parsing: body) else { throw .malformed("record") }
        guard let node = value["node"]?.text, Self.isName(node) else { throw .malformed("node") }
        guard let key = value["publicKey"]?.text.flatMap(PublicKey.init(base64:)) else { throw .malformed("publicKey") }
        var next: PublicKey?
        if let text = value["nextKey"]?.text {
            next = PublicKey(base64: text)
            if next == nil { throw .malformed("nextKey") }
        }
        let endpoints = value["endpoints"]?.list?.compactMap { $0.text.flatMap { Endpoint($0) } } ?? []
        guard (1...2).contains(endpoints.count), endpoints.allSatisfy({ $0.port > 0 && $0.scope == 0 }),
            endpoints.count == value["endpoints"]?.list?.count,
            Set(endpoints.map(\.address.isIPv6)).count == endpoints.count
        else { throw .malformed("endpoints") }
        let subnets = value["subnets"]?.list?.compactMap { $0.text.flatMap { IPPrefix($0) } } ?? []
        guard (1...2).contains(subnets.count), subnets.count == value["subnets"]?.list?.count else {
            throw .malformed("subnets")
        }
        guard let mac = value["mac"]?.text.flatMap({ MACAddress($0) }), !mac.isMulticast, !mac.isZero else {
            throw .malformed("mac")
        }
        guard let strict = value["strict"]?.flag else { throw .malformed("strict") }
        guard let sequence = value["sequence"]?.number, sequence > 0 else { throw .malformed("sequence") }
        self.init(
            node: node,
            publicKey: key,
            nextKey: next,
            endpoints: endpoints,
            subnets: subnets,
            mac: mac,
            isStrict: strict,
            sequence: UInt64(sequence)
        )
    }

    /// A node's name as Kubernetes has them (RFC 1123 subdomain): nothing that looks like another on a screen.
    public static func isName(_ text: String) -> Bool { text.isNodeName }
}
