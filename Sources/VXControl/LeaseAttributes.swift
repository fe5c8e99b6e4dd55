import VXConfig
public import VXWire

/// The value of a lease's key in etcd: flannel's `LeaseAttrs`.
public struct LeaseAttributes: Sendable, Hashable {
    /// The underlay address of IPv4; nil for none, which is written as `0.0.0.0`.
    public var publicIP: IPv4Address?
    /// The underlay address of IPv6.
    public var publicIPv6: IPv6Address?
    /// The backend.
    public var backendType: String
    /// The device for IPv4 packets.
    public var backend: BackendData?
    /// The device for IPv6 packets.
    public var backendV6: BackendData?

    /// Why a text is none.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        /// What is wrong, naming the field.
        public let description: String
    }

    /// Of a lease.
    public init(_ lease: Lease) {
        publicIP = lease.publicIP
        publicIPv6 = lease.publicIPv6
        backendType = lease.backendType
        backend = lease.backend
        backendV6 = lease.backendV6
    }

    /// More than any node writes.
    public static let largestText = 16384

    /// Reads what flannel wrote; fields that it does not know are passed over.
    public init(parsing text: String) throws(Failure) {
        guard text.utf8.count <= Self.largestText else {
            throw Failure(description: "a value of \(text.utf8.count) bytes")
        }
        guard let value = JSONValue(parsing: text), case .object = value else {
            throw Failure(description: "no JSON object")
        }
        switch value[ignoringCase: "PublicIP"] {
        case .text(let text):
            guard let address = IPv4Address(text) else { throw Failure(description: "PublicIP is no IPv4 address") }
            publicIP = address.rawValue == 0 ? nil : address
        case nil, .null: publicIP = nil
        default: throw Failure(description: "PublicIP is no text")
        }
        switch value[ignoringCase: "PublicIPv6"] {
        case .text(let text):
            guard let address = IPv6Address(text) else { throw Failure(description: "PublicIPv6 is no IPv6 address") }
            publicIPv6 = address
        case nil, .null: publicIPv6 = nil
        default: throw Failure(description: "PublicIPv6 is no text")
        }
        backendType = value[ignoringCase: "BackendType"]?.text ?? ""
        backend = try BackendData(value[ignoringCase: "BackendData"], name: "BackendData")
        backendV6 = try BackendData(value[ignoringCase: "BackendV6Data"], name: "BackendV6Data")
    }

    /// The bytes that flannel writes.
    public var json: String {
        var text = "{\"PublicIP\":\"\(publicIP ?? IPv4Address(0))\",\"PublicIPv6\":"
        text += publicIPv6.map { "\"\($0)\"" } ?? "null"
        text += ",\"BackendType\":\(backendType.jsonText)"
        if let backend { text += ",\"BackendData\":\(backend.json)" }
        if let backendV6 { text += ",\"BackendV6Data\":\(backendV6.json)" }
        return text + "}"
    }
}

extension BackendData {
    /// Reads the text of the annotations `backend-data` and `backend-v6-data`; what no device can be reached by is none.
    public init?(parsing text: String) throws(LeaseAttributes.Failure) {
        guard text.utf8.count <= LeaseAttributes.largestText, let value = JSONValue(parsing: text) else {
            throw LeaseAttributes.Failure(description: "backend data is no JSON")
        }
        guard let data = try BackendData(value, name: "backend data") else { return nil }
        self = data
    }

    /// Nil where there is none: other backends have other data, or none.
    init?(_ value: JSONValue?, name: String) throws(LeaseAttributes.Failure) {
        guard let value, value != .null else { return nil }
        guard case .object = value else { throw LeaseAttributes.Failure(description: "\(name) is no object") }
        guard let text = value[ignoringCase: "VtepMAC"]?.text else { return nil }
        guard let mac = MACAddress(text), !mac.isMulticast, !mac.isZero else {
            throw LeaseAttributes.Failure(description: "\(name).VtepMAC is no address of a station")
        }
        guard let vni = value[ignoringCase: "VNI"]?.number else {
            throw LeaseAttributes.Failure(description: "\(name).VNI is no number")
        }
        self.init(vni: vni, mac: mac)
    }
}
