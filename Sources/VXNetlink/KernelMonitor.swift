import CNetlink
import Glibc
import Synchronization

/// Tells that links, addresses, routes or a device's neighbours have changed (rtnetlink(7)), not what: who hears of it looks
/// at what is there.
public final class KernelMonitor: @unchecked Sendable {
    private let socket: OpaquePointer
    private let device = Atomic<Int>(0)
    /// The waiting thread's.
    private var isNews = false

    /// Listens from now on.
    public init() throws(NetlinkError) {
        socket = try subscription(
            to: [
                RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                RTNLGRP_NEIGH,
            ],
            "changes of the network"
        )
        let code = nl_socket_modify_cb(
            socket,
            NL_CB_VALID,
            NL_CB_CUSTOM,
            { message, argument in
                guard let message, let argument else { return CInt(NL_OK.rawValue) }
                Unmanaged<KernelMonitor>.fromOpaque(argument).takeUnretainedValue().note(nlmsg_hdr(message))
                return CInt(NL_OK.rawValue)
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
        if code < 0 { throw NetlinkError("nl_socket_modify_cb", code: code, "changes of the network") }
    }

    deinit { nl_socket_free(socket) }

    /// The interface index of the device whose neighbours matter: others' come and go all the time.
    public func watch(_ index: Int) { device.store(index, ordering: .relaxed) }

    /// Waits on the calling thread until something has changed.
    /// - Parameter milliseconds: no longer than this.
    /// - Returns: whether something has.
    public func wait(milliseconds: Int) -> Bool {
        var descriptor = pollfd(fd: nl_socket_get_fd(socket), events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, CInt(milliseconds)) > 0 else { return false }
        isNews = false
        while true {
            let code = nl_recvmsgs_default(socket)
            // The kernel had more to say than the socket's buffer holds.
            if code == -NLE_NOMEM { isNews = true }
            if code < 0 { return isNews }
        }
    }

    private func note(_ header: UnsafeMutablePointer<nlmsghdr>?) {
        guard let header else { return }
        let type = header.pointee.nlmsg_type
        if type == UInt16(RTM_NEWNEIGH) || type == UInt16(RTM_DELNEIGH) {
            guard Int(header.pointee.nlmsg_len) >= MemoryLayout<nlmsghdr>.size + MemoryLayout<ndmsg>.size,
                let body = nlmsg_data(header),
                Int(body.load(as: ndmsg.self).ndm_ifindex) == device.load(ordering: .relaxed)
            else { return }
        }
        isNews = true
    }
}
