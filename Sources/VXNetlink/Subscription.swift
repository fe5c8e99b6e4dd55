import CNetlink
import Glibc

/// A socket that hears of changes (rtnetlink(7)) from now on, and does not block.
/// - Parameters:
///   - groups: what to hear of.
///   - what: the same, for errors.
/// - Returns: libnl's socket, for its owner to free.
func subscription(to groups: [rtnetlink_groups], _ what: String) throws(NetlinkError) -> OpaquePointer {
    guard let socket = nl_socket_alloc() else { throw NetlinkError("nl_socket_alloc", code: -NLE_NOMEM, "netlink") }
    nl_socket_disable_seq_check(socket)
    var code = nl_connect(socket, NETLINK_ROUTE)
    for group in groups where code >= 0 { code = nl_socket_add_membership(socket, CInt(group.rawValue)) }
    if code >= 0 { code = nl_socket_set_nonblocking(socket) }
    if code < 0 {
        nl_socket_free(socket)
        throw NetlinkError("rtnetlink membership", code: code, what)
    }
    return socket
}
