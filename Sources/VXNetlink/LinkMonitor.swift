import CNetlink
import Glibc

/// Hears of every change of a link (rtnetlink(7), RTNLGRP_LINK): made, removed, moved to a bridge, given another address.
public final class LinkMonitor {
    /// One message about a link.
    public struct Change: Sendable {
        /// The interface index.
        public let index: Int
        /// Its name.
        public let name: String
        /// The interface index of the bridge it is in; 0 for none.
        public let master: Int
    }

    private let socket: OpaquePointer
    private var changes: [Change] = []

    /// Listens from now on.
    public init() throws(NetlinkError) {
        socket = try subscription(to: [RTNLGRP_LINK], "changes of links")
        let code = nl_socket_modify_cb(
            socket,
            NL_CB_VALID,
            NL_CB_CUSTOM,
            { message, argument in
                guard let message, let argument else { return CInt(NL_OK.rawValue) }
                Unmanaged<LinkMonitor>.fromOpaque(argument).takeUnretainedValue().note(nlmsg_hdr(message))
                return CInt(NL_OK.rawValue)
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
        if code < 0 { throw NetlinkError("nl_socket_modify_cb", code: code, "changes of links") }
    }

    deinit { nl_socket_free(socket) }

    /// A duplicate of the socket for an event loop, readable when something has changed; its owner closes it.
    public func duplicateDescriptor() -> CInt { fcntl(nl_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0) }

    /// What has changed since the last call.
    /// - Returns: nil when the kernel had more to say than the socket's buffer holds: look at everything then.
    public func read() -> [Change]? {
        defer { changes.removeAll() }
        while true {
            let code = nl_recvmsgs_default(socket)
            if code == -NLE_NOMEM { return nil }
            if code < 0 { return changes }
        }
    }

    private func note(_ header: UnsafeMutablePointer<nlmsghdr>?) {
        guard let header,
            header.pointee.nlmsg_type == UInt16(RTM_NEWLINK) || header.pointee.nlmsg_type == UInt16(RTM_DELLINK),
            Int(header.pointee.nlmsg_len) >= MemoryLayout<nlmsghdr>.size + MemoryLayout<ifinfomsg>.size,
            let body = nlmsg_data(header)
        else { return }
        let length = CInt(MemoryLayout<ifinfomsg>.size)
        let name = nlmsg_find_attr(header, length, CInt(IFLA_IFNAME)).flatMap { nla_get_string($0) }
        let master = nlmsg_find_attr(header, length, CInt(IFLA_MASTER)).map { nla_get_u32($0) }
        changes.append(
            Change(
                index: Int(body.load(as: ifinfomsg.self).ifi_index),
                name: name.map { String(cString: $0) } ?? "",
                master: Int(master ?? 0)
            )
        )
    }
}
