import Foundation
public import VXWire

// Link-local addresses mean something on one link alone (RFC 4007): people name the link by its interface, the kernel by a
// number that it gives anew with every boot.
extension Endpoint {
    /// Parses what a configuration holds: as `Endpoint(_:)`, and `[fe80::1%eth0]:47890` with the name of an interface of this
    /// machine. Nil for any other text; a link-local address without an interface and an IPv4 address in IPv6's clothes are
    /// none: nothing could be sent there.
    public init?(configured text: String) {
        if let percent = text.lastIndex(of: "%"), let bracket = text[percent...].firstIndex(of: "]") {
            let name = String(text[text.index(after: percent)..<bracket])
            let index = unsafe if_nametoindex(name)
            if index > 0 {
                self.init(text[...percent] + "\(index)" + text[bracket...])
                return
            }
        }
        self.init(text[...])
    }

    private init?(_ text: Substring) {
        self.init(String(text))
        guard case .v6(let address) = address else { return }
        if address.isLinkLocal, scope == 0 { return nil }
        if address.high == 0, address.low >> 32 == 0xffff { return nil }
    }

    /// The endpoint with its interface's name, as `init(configured:)` reads it.
    public var configured: String {
        guard let interface else { return description }
        return description.replacingOccurrences(of: "%\(scope)]", with: "%\(interface)]")
    }

    /// The name of the interface of a link-local address; nil for another address, or when the interface is gone.
    public var interface: String? {
        guard scope != 0 else { return nil }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(IF_NAMESIZE)) { buffer in
            unsafe if_indextoname(scope, buffer.baseAddress).map { unsafe String(cString: $0) }
        }
    }
}
