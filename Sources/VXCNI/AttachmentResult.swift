package import VXWire

/// The result of ADD, an earlier one, or an address plugin's: the same in memory for every version from 0.3.1 on.
package struct AttachmentResult: Equatable, Sendable {
    /// A device.
    package struct Interface: Equatable, Sendable {
        package var name: String
        package var mac: String
        /// The namespace's path; nil for the node's own.
        package var sandbox: String?
        /// In bytes; told from 1.1.0 on.
        package var mtu: Int?

        package init(name: String, mac: String, sandbox: String? = nil, mtu: Int? = nil) {
            self.name = name
            self.mac = mac
            self.sandbox = sandbox
            self.mtu = mtu
        }
    }

    /// An address.
    package struct Address: Equatable, Sendable {
        package var prefix: IPPrefix
        package var gateway: IPAddress?
        /// Which of the interfaces has it.
        package var interface: Int?

        package init(prefix: IPPrefix, gateway: IPAddress? = nil, interface: Int? = nil) {
            self.prefix = prefix
            self.gateway = gateway
            self.interface = interface
        }
    }

    /// A route.
    package struct Route: Equatable, Sendable {
        package var destination: IPPrefix
        /// Nil: the gateway of the address of the same family.
        package var gateway: IPAddress?

        package init(to destination: IPPrefix, via gateway: IPAddress? = nil) {
            self.destination = destination
            self.gateway = gateway
        }
    }

    package var interfaces: [Interface] = []
    package var addresses: [Address] = []
    package var routes: [Route] = []
    package var dns: JSON = .object([:])

    package init() {}

    /// Reads one.
    /// - Parameter whose: what it is, for errors.
    package init(_ json: JSON, of whose: String) throws(CNIError) {
        func unusable(_ what: String) -> CNIError { CNIError(.undecodable, "\(whose): \(what)") }
        guard json.object != nil else { throw unusable("no JSON object") }
        for entry in json["interfaces"]?.list ?? [] {
            guard let name = entry["name"]?.text else { throw unusable("an interface has no name") }
            let sandbox = entry["sandbox"]?.text
            interfaces.append(
                Interface(
                    name: name,
                    mac: entry["mac"]?.text ?? "",
                    sandbox: sandbox?.isEmpty == true ? nil : sandbox,
                    mtu: entry["mtu"]?.integer
                )
            )
        }
        for entry in json["ips"]?.list ?? [] {
            guard let prefix = entry["address"]?.text.flatMap({ IPPrefix($0) }) else {
                throw unusable("an address is none")
            }
            let interface = entry["interface"]?.integer
            if let interface, !interfaces.isEmpty, !interfaces.indices.contains(interface) {
                throw unusable("\(prefix) is of interface \(interface), which is not there")
            }
            addresses.append(
                Address(prefix: prefix, gateway: try Self.gateway(entry["gateway"], whose), interface: interface)
            )
        }
        for entry in json["routes"]?.list ?? [] {
            guard let destination = entry["dst"]?.text.flatMap({ IPPrefix($0) }) else {
                throw unusable("a route is none")
            }
            for field in ["mtu", "advmss", "priority", "table", "scope"] {
                guard let value = entry[field], value != .null else { continue }
                throw CNIError(.unsupportedField, "\(whose): \(field) of the route to \(destination) is not supported")
            }
            routes.append(Route(to: destination, via: try Self.gateway(entry["gw"], whose)))
        }
        dns = json["dns"].flatMap { $0.object == nil ? nil : $0 } ?? .object([:])
    }

    private static func gateway(_ value: JSON?, _ whose: String) throws(CNIError) -> IPAddress? {
        guard let text = value?.text, !text.isEmpty else { return nil }
        guard let gateway = IPAddress(text) else {
            throw CNIError(.undecodable, "\(whose): the gateway \(text) is no address")
        }
        return gateway
    }

    /// As the versions have it.
    package func json(_ version: CNIVersion) -> JSON {
        .object([
            "cniVersion": .text(version.rawValue),
            "interfaces": .list(
                interfaces.map { interface in
                    var object: [String: JSON] = ["name": .text(interface.name), "mac": .text(interface.mac)]
                    if let sandbox = interface.sandbox { object["sandbox"] = .text(sandbox) }
                    if version >= .v1_1_0, let mtu = interface.mtu { object["mtu"] = .integer(mtu) }
                    return .object(object)
                }
            ),
            "ips": .list(
                addresses.map { address in
                    var object: [String: JSON] = ["address": .text("\(address.prefix)")]
                    if version < .v1_0_0 { object["version"] = .text(address.prefix.address.isIPv6 ? "6" : "4") }
                    if let gateway = address.gateway { object["gateway"] = .text("\(gateway)") }
                    if let interface = address.interface { object["interface"] = .integer(interface) }
                    return .object(object)
                }
            ),
            "routes": .list(
                routes.map { route in
                    var object: [String: JSON] = ["dst": .text("\(route.destination)")]
                    if let gateway = route.gateway { object["gw"] = .text("\(gateway)") }
                    return .object(object)
                }
            ),
            "dns": dns,
        ])
    }
}
