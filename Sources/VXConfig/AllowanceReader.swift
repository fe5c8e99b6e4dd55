import VXWire
import Yams

/// Reads what a peer may claim to be.
struct AllowanceReader {
    let problems: ProblemList

    static let stationMend = "write it as 02:00:00:00:00:07, no group address"

    func read(_ item: Node, _ path: String) -> PeerConfiguration.Allowance? {
        guard let reader = MappingReader(item, path: path, problems: problems) else { return nil }
        let macs = reader.parsedItems("macs", Self.stationMend, MACAddress.init(station:))
        let mend = "write networks as 10.98.0.0/24 or fd00::/64, without host bits; one address is a /32 or /128"
        let prefixes = reader.parsedItems("prefixes", mend) { text in
            IPPrefix(text).flatMap { $0.hasHostBits ? nil : $0 }
        }
        let router = reader.boolean("router", default: false)
        reader.finish()
        return PeerConfiguration.Allowance(macs: macs, prefixes: prefixes, router: router)
    }
}

extension MACAddress {
    /// The address of one station: no group address, not zero.
    init?(station text: String) {
        guard let address = MACAddress(text), !address.isMulticast, !address.isZero else { return nil }
        self = address
    }
}

extension IPPrefix {
    /// Whether it is an interface's address rather than a network's.
    fileprivate var hasHostBits: Bool {
        switch address {
        case .v4(let address): address.rawValue << UInt32(length) != 0
        case .v6(let address):
            length < 64
                ? address.high << UInt64(length) != 0 || address.low != 0 : address.low << UInt64(length - 64) != 0
        }
    }
}
