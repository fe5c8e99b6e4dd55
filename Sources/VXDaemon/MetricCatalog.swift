import VXMetrics

/// Every metric of the daemon, as `Documentation/metrics.md` lists them. Names and labels are promised: one that is given up is
/// told in the changelog.
enum MetricCatalog {
    // MARK: - Node

    static let build = MetricFamily("vxseal_build_info", .info, "Which vxseal runs.", by: ["version"])
    static let node = MetricFamily(
        "vxseal_node_info",
        .info,
        "The node's name, who computes the cipher, and who steers flows to lanes (none with a single lane).",
        by: ["node", "cipher", "steering"]
    )
    static let ready = MetricFamily("vxseal_ready", .gauge, "1 when /readyz says so: the networks are up.")
    static let threadsStuck = MetricFamily(
        "vxseal_stuck_threads",
        .gauge,
        "Threads of lanes and handshakes that have not gone round their loop for 5 s."
    )
    static let drops = MetricFamily(
        "vxseal_drops_total",
        .counter,
        "What was not passed on, by reason; every reason, also at zero.",
        by: ["reason"]
    )
    static let offload = MetricFamily(
        "vxseal_offload",
        .gauge,
        "1 for the state that the offload is in: on, off by configuration, missing in this kernel, or retreated from.",
        by: ["name", "state"]
    )
    static let handovers = MetricFamily(
        "vxseal_lane_handovers_total",
        .counter,
        "Datagrams that arrived at the lane's thread and belong to another.",
        by: ["lane"]
    )
    static let threadProcessor = MetricFamily(
        "vxseal_thread_cpu_seconds_total",
        .counter,
        "Time on a processor, by thread: lane0 and up, hs (handshakes), http, devices.",
        by: ["thread"]
    )

    // MARK: - Peers

    static let peerUp = MetricFamily(
        "vxseal_peer_up",
        .gauge,
        "1 when frames can flow: an established session, or a plaintext peer.",
        by: ["peer"]
    )
    static let peerState = MetricFamily(
        "vxseal_peer_state",
        .gauge,
        "1 for the state that the sealed peer is in: down, handshaking, established or contested.",
        by: ["peer", "state"]
    )
    static let peerReceivedDatagrams = MetricFamily(
        "vxseal_peer_received_datagrams_total",
        .counter,
        "Datagrams from the peer, authenticated or of a plaintext peer.",
        by: ["peer"]
    )
    static let peerReceivedFrames = MetricFamily(
        "vxseal_peer_received_frames_total",
        .counter,
        "Frames from the peer that were passed on.",
        by: ["peer"]
    )
    static let peerReceivedBytes = MetricFamily(
        "vxseal_peer_received_bytes_total",
        .counter,
        "Bytes of those frames, Ethernet header included.",
        by: ["peer"]
    )
    static let peerSentDatagrams = MetricFamily(
        "vxseal_peer_sent_datagrams_total",
        .counter,
        "Datagrams handed to the kernel for the peer.",
        by: ["peer"]
    )
    static let peerSentFrames = MetricFamily(
        "vxseal_peer_sent_frames_total",
        .counter,
        "Frames in them.",
        by: ["peer"]
    )
    static let peerSentBytes = MetricFamily(
        "vxseal_peer_sent_bytes_total",
        .counter,
        "Bytes of those frames, Ethernet header included.",
        by: ["peer"]
    )
    static let peerLost = MetricFamily(
        "vxseal_peer_lost_datagrams_total",
        .counter,
        "Sealed datagrams that did not arrive, exactly, by the sessions' counters: received, from the peer; sent, to the peer.",
        by: ["peer", "direction"]
    )
    static let peerDuplicated = MetricFamily(
        "vxseal_peer_duplicated_datagrams_total",
        .counter,
        "Datagrams from the peer whose counter had been seen; dropped.",
        by: ["peer"]
    )
    static let peerReordered = MetricFamily(
        "vxseal_peer_reordered_datagrams_total",
        .counter,
        "Datagrams from the peer that arrived behind a later one of their lane.",
        by: ["peer"]
    )
    static let peerDrops = MetricFamily(
        "vxseal_peer_drops_total",
        .counter,
        "What of the peer's, or for it, was not passed on, by reason; without reasons at zero.",
        by: ["peer", "reason"]
    )
    static let networkDrops = MetricFamily(
        "vxseal_network_drops_total",
        .counter,
        "Frames of the network that were not passed on, by reason; without reasons at zero.",
        by: ["vni", "reason"]
    )
    static let peerReservedBits = MetricFamily(
        "vxseal_peer_reserved_set_datagrams_total",
        .counter,
        "VXLAN datagrams from a plaintext peer with reserved bits set, which are ignored (RFC 7348).",
        by: ["peer"]
    )
    static let peerTripwires = MetricFamily(
        "vxseal_peer_tripwires_total",
        .counter,
        "Plaintext that claimed to come from a peer that has a key; dropped.",
        by: ["peer"]
    )
    static let peerHandshakes = MetricFamily(
        "vxseal_peer_handshakes_total",
        .counter,
        "Handshakes that were completed with the peer.",
        by: ["peer"]
    )
    static let peerPostQuantum = MetricFamily(
        "vxseal_peer_post_quantum",
        .gauge,
        "1 when the session's key exchange is post-quantum.",
        by: ["peer"]
    )
    static let peerKeyAge = MetricFamily(
        "vxseal_peer_key_age_seconds",
        .gauge,
        "Age of the session's sending key; absent without a session.",
        by: ["peer"]
    )
    static let peerLastHandshake = MetricFamily(
        "vxseal_peer_last_handshake_timestamp_seconds",
        .gauge,
        "When the last handshake was completed, since 1970; absent before the first.",
        by: ["peer"]
    )
    static let peerRoundTrip = MetricFamily(
        "vxseal_peer_rtt_seconds",
        .gauge,
        "Median round trip of the last minutes; before the first measurement that of the handshake, absent before that.",
        by: ["peer"]
    )
    static let peerLeastRoundTrip = MetricFamily(
        "vxseal_peer_rtt_min_seconds",
        .gauge,
        "Shortest round trip of the last minutes; absent before the first measurement.",
        by: ["peer"]
    )
    static let peerP99RoundTrip = MetricFamily(
        "vxseal_peer_rtt_p99_seconds",
        .gauge,
        "99 of 100 round trips of the last minutes were no longer; absent before the first measurement.",
        by: ["peer"]
    )
    static let peerPathMTU = MetricFamily(
        "vxseal_peer_path_mtu_bytes",
        .gauge,
        "Bytes of IP packet that the path to the peer carries; absent until they are known.",
        by: ["peer"]
    )
    static let peerLanes = MetricFamily(
        "vxseal_peer_lanes",
        .gauge,
        "Lanes that the peer sends on; absent before the first session.",
        by: ["peer"]
    )
    static let peerBlackLanes = MetricFamily(
        "vxseal_peer_black_lanes",
        .gauge,
        "Lanes of this node whose own port gets nothing through to the peer; they are sent from the listen port.",
        by: ["peer"]
    )

    // MARK: - Networks

    static let network = MetricFamily(
        "vxseal_network_info",
        .info,
        "The network's mode, device and bridge; empty for none.",
        by: ["vni", "mode", "device", "bridge"]
    )
    static let networkMTU = MetricFamily("vxseal_network_mtu_bytes", .gauge, "The device's MTU.", by: ["vni"])
    static let networkUp = MetricFamily(
        "vxseal_network_up",
        .gauge,
        "1 when the network's device is there, up, and not kept out of its bridge.",
        by: ["vni"]
    )
    static let networkRestarts = MetricFamily(
        "vxseal_network_device_restarts_total",
        .counter,
        "How often somebody removed the device, and it was made again.",
        by: ["vni"]
    )
    static let networkReceivedPackets = MetricFamily(
        "vxseal_network_received_packets_total",
        .counter,
        "Packets from peers that were handed to the device, by the kernel's count; absent without a device.",
        by: ["vni"]
    )
    static let networkReceivedBytes = MetricFamily(
        "vxseal_network_received_bytes_total",
        .counter,
        "Bytes of them.",
        by: ["vni"]
    )
    static let networkSentPackets = MetricFamily(
        "vxseal_network_sent_packets_total",
        .counter,
        "Packets that the device had for peers, by the kernel's count.",
        by: ["vni"]
    )
    static let networkSentBytes = MetricFamily(
        "vxseal_network_sent_bytes_total",
        .counter,
        "Bytes of them.",
        by: ["vni"]
    )
    static let networkStations = MetricFamily(
        "vxseal_network_fdb_entries",
        .gauge,
        "Stations that are learned.",
        by: ["vni"]
    )
    static let networkStationLimit = MetricFamily(
        "vxseal_network_fdb_limit",
        .gauge,
        "Stations that may be learned: fdbLimit.",
        by: ["vni"]
    )
    static let networkRefused = MetricFamily(
        "vxseal_network_fdb_refused_total",
        .counter,
        "How often a station was not learned, since the limit or a peer's share was reached.",
        by: ["vni"]
    )
    static let networkFrozen = MetricFamily(
        "vxseal_network_fdb_frozen_total",
        .counter,
        "How often a station was held where it was, since it moved too often.",
        by: ["vni"]
    )
    static let networkNeighbors = MetricFamily(
        "vxseal_network_neighbors",
        .gauge,
        "Addresses that ARP and neighbour discovery are answered for; absent without neighborSuppression.",
        by: ["vni"]
    )
    static let networkNeighborsAnswered = MetricFamily(
        "vxseal_network_neighbors_answered_total",
        .counter,
        "Questions of ARP and neighbour discovery that were answered instead of flooded.",
        by: ["vni"]
    )
    static let networkNeighborsRefused = MetricFamily(
        "vxseal_network_neighbors_refused_total",
        .counter,
        "How often an address was not taken up, since the table or a peer's share was full.",
        by: ["vni"]
    )
    static let networkMemberships = MetricFamily(
        "vxseal_network_group_memberships",
        .gauge,
        "Memberships in multicast groups that are known; absent but with flood: known-multicast.",
        by: ["vni"]
    )
    static let networkMembershipsRefused = MetricFamily(
        "vxseal_network_group_memberships_refused_total",
        .counter,
        "How often a membership was not taken up, since the table or a peer's share was full.",
        by: ["vni"]
    )
    static let networkMessagesIgnored = MetricFamily(
        "vxseal_network_group_messages_ignored_total",
        .counter,
        "Messages about multicast groups that were not believed.",
        by: ["vni"]
    )
    static let networkQuerier = MetricFamily(
        "vxseal_network_group_querier",
        .gauge,
        "1 when somebody asks for memberships of the family, ipv4 or ipv6; else all groups are flooded.",
        by: ["vni", "family"]
    )
    static let networkRelayStopped = MetricFamily(
        "vxseal_network_relay_stopped",
        .gauge,
        "1 while broadcasts are not passed on, since frames came back; absent without relay.",
        by: ["vni"]
    )
    static let networkRelayStops = MetricFamily(
        "vxseal_network_relay_stops_total",
        .counter,
        "How often that happened.",
        by: ["vni"]
    )

    // MARK: - What the daemon counts through swift-metrics

    static let reloads = MetricFamily(
        "vxseal_reloads_total",
        .counter,
        "Reloads of the configuration by result: applied or refused.",
        by: ["result"]
    )
    static let lastReload = MetricFamily(
        "vxseal_last_reload_successful",
        .gauge,
        "0 when the last reload was refused; absent before the first."
    )
    static let answers = MetricFamily(
        "vxseal_http_answers_total",
        .counter,
        "Answers of the admin socket and the metrics listener, by HTTP status.",
        by: ["listener", "code"]
    )
    static let answerDuration = MetricFamily(
        "vxseal_http_answer_duration_seconds",
        .histogram,
        "From a request's headers to the beginning of its answer.",
        by: ["listener"]
    )
    static let timeouts = MetricFamily(
        "vxseal_http_timeouts_total",
        .counter,
        "Clients that sent a request or took an answer too slowly, and lost their connection.",
        by: ["listener"]
    )

    // MARK: - The process, by the names that every exporter uses

    static let residentMemory = MetricFamily("process_resident_memory_bytes", .gauge, "Resident memory.")
    static let virtualMemory = MetricFamily("process_virtual_memory_bytes", .gauge, "Virtual memory.")
    static let processor = MetricFamily("process_cpu_seconds_total", .counter, "Time on a processor, of all threads.")
    static let openDescriptors = MetricFamily("process_open_fds", .gauge, "Open file descriptors.")
    static let mostDescriptors = MetricFamily("process_max_fds", .gauge, "File descriptors that may be open.")
    static let startTime = MetricFamily("process_start_time_seconds", .gauge, "When the process began, since 1970.")

    /// Those that are counted through swift-metrics.
    static let recorded = [reloads, lastReload, answers, answerDuration, timeouts]

    /// All, in the order in which they are written.
    static let all =
        [build, node, ready, threadsStuck, drops, offload, handovers, threadProcessor]
        + [
            peerUp, peerState, peerReceivedDatagrams, peerReceivedFrames, peerReceivedBytes, peerSentDatagrams,
            peerSentFrames, peerSentBytes, peerLost, peerDuplicated, peerReordered, peerDrops, peerReservedBits,
            peerTripwires,
            peerHandshakes, peerPostQuantum, peerKeyAge, peerLastHandshake, peerRoundTrip, peerLeastRoundTrip,
            peerP99RoundTrip, peerPathMTU, peerLanes,
            peerBlackLanes,
        ]
        + [
            network, networkMTU, networkUp, networkRestarts, networkReceivedPackets, networkReceivedBytes,
            networkSentPackets, networkSentBytes, networkStations, networkStationLimit, networkRefused,
            networkFrozen, networkNeighbors, networkNeighborsAnswered, networkNeighborsRefused, networkMemberships,
            networkMembershipsRefused, networkMessagesIgnored, networkQuerier, networkRelayStopped, networkRelayStops,
            networkDrops,
        ]
        + recorded
        + [residentMemory, virtualMemory, processor, openDescriptors, mostDescriptors, startTime]
}
