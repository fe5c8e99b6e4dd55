import ServiceLifecycle
import Synchronization
import VXConfig
import VXLinux
import VXRuntime
import VXWire

/// Looks every second whether the threads of lanes and handshakes go round their loops, which the idlest does once a second.
final class NodeHealth: Service, Sendable {
    private let roster: RosterBoard
    private let devices: DeviceBoard
    private let runtime: Runtime
    private let watch = Mutex(TurnWatch())

    init(roster: RosterBoard, devices: DeviceBoard, runtime: Runtime) {
        self.roster = roster
        self.devices = devices
        self.runtime = runtime
    }

    func run() async throws {
        repeat {
            watch.withLock { $0.look(runtime.turns, now: Clocks.bootTime()) }
        } while await pause(.seconds(1))
    }

    /// Threads that hang, and for how long.
    var stuckThreads: [String] {
        watch.withLock { $0.stuck(now: Clocks.bootTime()) }.map { place, time in
            "\(runtime.threadNames[place]) has not gone round its loop for \(time.nanoseconds / 1_000_000_000) s"
        }
    }

    /// Why the network's device carries nothing; nil when it is as it should be.
    func hindrance(of network: Roster.Network, at place: Int) -> String? {
        guard network.configuration.hasDevice else { return nil }
        let (entry, device) = (devices[place], network.configuration.device)
        if entry.isLost {
            return "network \(network.configuration.vni): device \(device) is gone and cannot be made again"
        }
        if entry.isDown {
            return "network \(network.configuration.vni): device \(device) is down; ip link set \(device) up"
        }
        guard entry.isKeptApart else { return nil }
        return "network \(network.configuration.vni): device \(device) is kept out of its bridge, which holds plaintext"
    }

    /// Why the node is not ready to carry frames. That a peer does not answer is no reason: others may.
    var hindrances: [String] {
        if runtime.turns.contains(0) { return ["the threads are starting"] }
        return stuckThreads
            + roster.current.orderedNetworks.compactMap { place, network in hindrance(of: network, at: place) }
    }
}

/// Since when counters of turns stand still.
struct TurnWatch {
    /// One that stands still for so long hangs.
    static let patience = Interval.seconds(5)

    private var seen: [(turns: UInt64, at: Instant)] = []
    private var lookedAt: Instant?

    /// Takes the counters as they are now.
    mutating func look(_ turns: [UInt64], now: Instant) {
        // Where nobody looked for a while, as on a machine that slept, nothing is known of that time.
        if let last = lookedAt, now.since(last) > Self.patience { seen = [] }
        lookedAt = now
        let known = seen
        seen = turns.enumerated().map { place, turns in
            // A thread that has not begun yet is no thread that hangs.
            if place < known.count, turns > 0, known[place].turns == turns { return known[place] }
            return (turns, now)
        }
    }

    /// The places of those that hang, and for how long.
    func stuck(now: Instant) -> [(place: Int, time: Interval)] {
        guard let last = lookedAt else { return [] }
        return seen.enumerated().compactMap { place, entry in
            let time = last.since(entry.at)
            return time >= Self.patience ? (place, now.since(entry.at)) : nil
        }
    }
}
