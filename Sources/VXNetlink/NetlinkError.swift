import CNetlink

/// An rtnetlink request that failed: the request, libnl's text, and what it was about.
public struct NetlinkError: Error, CustomStringConvertible {
    /// What, why, where and how to mend it.
    public let description: String

    init(_ request: String, code: CInt, _ context: String) {
        let mend = code == -NLE_PERM ? "; needs CAP_NET_ADMIN" : ""
        description = "\(request): \(String(cString: nl_geterror(code))), \(context)\(mend)"
    }

    init(missing device: String) { description = "no device \(device); see the devices with: ip link" }
}
