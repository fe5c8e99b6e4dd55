import Foundation
import VXControl
import VXWire

/// The overlay's keys. flannel watches all that begins with `<prefix>/subnets` and complains of what is no lease there, so
/// nothing of vxseal's own is below it.
struct EtcdKeys: Sendable {
    /// What a key is.
    enum Meaning: Equatable {
        /// A lease, by its id.
        case lease(LeaseKey, id: String)
        /// A node's record, by its lease's id.
        case record(id: String)
        /// One of neither grammar, where only these should be; printable.
        case unreadable(String)
        /// Not this overlay's directory.
        case other
    }

    /// flannel's net-conf.json.
    let configuration: String
    /// What leases' keys begin with.
    let leases: String
    /// What records' keys begin with.
    let records: String
    /// What all of them begin with.
    let all: String
    private let leaseBytes: [UInt8]
    private let recordBytes: [UInt8]

    init(prefix: String) {
        var prefix = prefix[...]
        while prefix.hasSuffix("/") { prefix.removeLast() }
        all = prefix + "/"
        configuration = all + "config"
        leases = all + "subnets/"
        records = all + "vxseal/nodes/"
        leaseBytes = Array(leases.utf8)
        recordBytes = Array(records.utf8)
    }

    /// The lease's key.
    func lease(_ id: String) -> String { leases + id }
    /// The record's key.
    func record(_ id: String) -> String { records + id }

    /// All keys of leases that have the same subnet of IPv4, or of IPv6 where there is none of IPv4, as this one: one that is to be
    /// made must find none of them.
    func claim(_ id: String) -> EtcdRange {
        guard let key = LeaseKey(id), let v4 = key.subnetV4, let short = LeaseKey(subnet: v4) else {
            return EtcdRange(key: lease(id))
        }
        return EtcdRange(prefix: lease(short.description))
    }

    /// What a key is that begins with `all`.
    func meaning(of key: Data) -> Meaning {
        if key.starts(with: leaseBytes) {
            let rest = key.dropFirst(leaseBytes.count)
            guard let id = String(validating: rest, as: UTF8.self), let key = LeaseKey(id), key.hasSubnet else {
                return .unreadable(Self.printable(rest))
            }
            return .lease(key, id: id)
        }
        if key.starts(with: recordBytes) {
            let rest = key.dropFirst(recordBytes.count)
            guard let id = String(validating: rest, as: UTF8.self), let key = LeaseKey(id), key.hasSubnet else {
                return .unreadable("vxseal/nodes/" + Self.printable(rest))
            }
            return .record(id: id)
        }
        return .other
    }

    /// Any bytes in few ASCII characters; what is cut or escaped looks like no lease's id.
    static func printable(_ bytes: some Sequence<UInt8>, most: Int = 80) -> String {
        var text = ""
        for byte in bytes {
            guard text.utf8.count < most else { return text + "..." }
            if (0x21...0x7e).contains(byte), byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += byte < 16 ? "%0" : "%"
                text += String(byte, radix: 16, uppercase: true)
            }
        }
        return text
    }
}

extension LeaseKey {
    /// Its subnet of IPv4: an overlay of IPv6 alone has `0.0.0.0-0` in its place, as flannel writes an empty one.
    var subnetV4: IPPrefix? { subnet.length == 0 ? nil : subnet }
    /// Whether it is for any family.
    var hasSubnet: Bool { subnetV4 != nil || subnetV6 != nil }
    /// All of them.
    var subnets: [IPPrefix] { [subnetV4, subnetV6].compactMap(\.self) }

    /// Of subnets that were chosen.
    init?(_ choice: SubnetAllocator.Choice) {
        guard choice.subnet != nil || choice.subnetV6 != nil,
            let none = IPPrefix(address: .v4(IPv4Address(0)), length: 0)
        else { return nil }
        self.init(subnet: choice.subnet ?? none, subnetV6: choice.subnetV6)
    }
}
