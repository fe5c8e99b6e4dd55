package import VXWire

// Arithmetic on the shares of an overlay: prefixes of one length, numbered from its first.
extension IPPrefix {
    /// The address of share `number`, 0 for the first; nil beyond the last. At most 2^63 shares are numbered.
    package func share(_ number: UInt64, length share: Int) -> IPAddress? {
        let bits = share - length
        guard bits >= 0, bits >= 64 || number < UInt64(1) << UInt64(bits) else { return nil }
        switch network.address {
        case .v4(let address):
            return .v4(IPv4Address(address.rawValue + UInt32(number << UInt64(32 - share))))
        case .v6(let address):
            let shift = 128 - share
            let low = shift >= 64 ? 0 : number << UInt64(shift)
            let high = shift >= 64 ? number << UInt64(shift - 64) : shift == 0 ? 0 : number >> UInt64(64 - shift)
            return .v6(IPv6Address(high: address.high | high, low: address.low | low))
        }
    }

    /// The last share's address.
    package func lastShare(length share: Int) -> IPAddress? {
        let bits = share - length
        return self.share(bits >= 64 ? .max : (UInt64(1) << UInt64(bits)) - 1, length: share)
    }

    /// Which share an address begins or is in; the inverse of `share(_:length:)`.
    package func number(ofShareWith address: IPAddress, length share: Int) -> UInt64? {
        guard contains(address), let prefix = IPPrefix(address: address, length: share)?.network.address else {
            return nil
        }
        switch (network.address, prefix) {
        case (.v4(let base), .v4(let address)):
            return UInt64(address.rawValue - base.rawValue) >> UInt64(32 - share)
        case (.v6(let base), .v6(let address)):
            let high = address.high ^ base.high
            let low = address.low ^ base.low
            let shift = 128 - share
            if shift >= 64 { return high >> UInt64(shift - 64) }
            return shift == 0 ? low : low >> UInt64(shift) | high << UInt64(64 - shift)
        case (.v4, .v6), (.v6, .v4): return nil
        }
    }
}

extension IPAddress {
    /// The order of addresses of one family.
    package func isAtMost(_ other: IPAddress) -> Bool {
        switch (self, other) {
        case (.v4(let left), .v4(let right)): left.rawValue <= right.rawValue
        case (.v6(let left), .v6(let right)): (left.high, left.low) <= (right.high, right.low)
        case (.v4, .v6), (.v6, .v4): false
        }
    }
}
