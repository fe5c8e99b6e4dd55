import Synchronization

/// What became of the devices while the node runs, for whoever asks for the status.
final class DeviceBoard: Sendable {
    /// One network's device.
    struct Entry: Sendable {
        /// How often somebody removed it, and it was made again.
        var restarts = 0
        /// Not in its bridge, because a plaintext network is.
        var isKeptApart = false
        /// Somebody removed it, and it is not there again yet.
        var isLost = false
        /// Somebody set it down (ip-link(8)).
        var isDown = false
    }

    private let entries: Mutex<[Entry]>

    init(networks: Int) { entries = Mutex(Array(repeating: Entry(), count: networks)) }

    /// A copy of a network's entry, by the network's place.
    subscript(network: Int) -> Entry { entries.withLock { network < $0.count ? $0[network] : Entry() } }

    func update(_ network: Int, _ change: (inout Entry) -> Void) {
        entries.withLock { entries in
            while entries.count <= network { entries.append(Entry()) }
            change(&entries[network])
        }
    }
}
