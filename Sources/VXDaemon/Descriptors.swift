import VXLinux

/// How many file descriptors a node takes: a queue of each device on each lane, some sockets, and what the rest needs.
enum Descriptors {
    /// Makes sure that so many networks fit, before anything is made for them.
    /// - Parameters:
    ///   - networks: how many have devices at once; in a reload new ones come before old ones go.
    ///   - lanes: the node's.
    /// - Throws: when they don't, with what to do.
    static func reserve(networks: Int, lanes: Int) throws(StartError) {
        let needed = lanes * (networks + 48) + 64
        let limit = DescriptorLimit.raise()
        guard needed <= limit else {
            throw StartError(
                "\(networks) networks on \(lanes) lanes take \(needed) file descriptors, and this process "
                    + "may have \(limit); raise the limit (LimitNOFILE= of the systemd unit, or ulimit -Hn), or lower lanes"
            )
        }
    }
}
