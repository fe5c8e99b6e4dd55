import VXConfig
import VXDataPlane
import VXLinux
import VXRuntime
import VXWire

/// Opens the sockets of a node (protocol.md, 2a and 7).
struct PortOpener {
    let configuration: NodeConfiguration

    /// Outer source ports of plaintext VXLAN come from here (RFC 7348, 5: the dynamic range).
    private static let senderPorts: ClosedRange<UInt16> = 49152...65535
    private static let sendersPerFamily = 16

    private func options(
        reusePort: Bool = false,
        fragmentation: Bool = false,
        receives: Bool = false
    ) -> UDPSocketOptions {
        var options = UDPSocketOptions()
        options.receivesRuns = receives && configuration.offloads.udpGro
        options.receivesTrafficClass = receives
        options.reusePort = reusePort
        options.fragmentation = fragmentation
        options.mark = configuration.firewallMark
        options.device = configuration.bindDevice
        return options
    }

    /// The groups of the sealed port: the handshake thread's sockets and one for each lane thread. The order of binding is
    /// the order that the steering program counts in, so that a group is only ever opened and closed whole. Lanes 1 and up
    /// get their own sending sockets too.
    func openSealed(
        handshake: inout OwnedArray<UDPSocket>,
        lanes: inout OwnedArray<LanePorts>
    ) throws(SystemCallError) {
        for endpoint in configuration.sealedEndpoints {
            // A first bind without SO_REUSEPORT finds out whether somebody else has the port, which a group would share.
            _ = try UDPSocket(bind: endpoint, options: options())
            let first = try UDPSocket(bind: endpoint, options: options(reusePort: true, fragmentation: true))
            for place in 0..<lanes.count {
                let options = options(reusePort: true, receives: true)
                lanes[place].sealed.append(try UDPSocket(bind: endpoint, options: options))
            }
            try first.steerLanes(threads: lanes.count)
            handshake.append(first)
            guard configuration.sourcePorts == .lanes else { continue }
            for place in 1..<max(lanes.count, 1) {
                let port = configuration.lanePorts.isEmpty ? 0 : configuration.lanePorts[place - 1]
                let own = Endpoint(address: endpoint.address, port: port, scope: endpoint.scope)
                lanes[place].own.append(try sendingSocket(own, fragmentation: false))
            }
        }
    }

    private func sendingSocket(_ endpoint: Endpoint, fragmentation: Bool) throws(SystemCallError) -> UDPSocket {
        let socket = try UDPSocket(bind: endpoint, options: options(fragmentation: fragmentation))
        try socket.rejectAll()
        return socket
    }

    /// The plaintext ports, when any network is plaintext: a group with a socket for each lane, over which the kernel's own
    /// hash spreads the flows, and each lane's sending sockets.
    func openPlaintext(lanes: inout OwnedArray<LanePorts>) throws(SystemCallError) {
        guard configuration.hasPlaintext else { return }
        for endpoint in configuration.plaintextEndpoints {
            _ = try UDPSocket(bind: endpoint, options: options())
            for place in 0..<lanes.count {
                var options = options(reusePort: true, fragmentation: true, receives: true)
                options.takesZeroChecksums = true
                lanes[place].plaintext.append(try UDPSocket(bind: endpoint, options: options))
            }
        }
        for place in 0..<lanes.count { try openSenders(of: &lanes[place]) }
    }

    private func openSenders(of lane: inout LanePorts) throws(SystemCallError) {
        for isIPv6 in [false, true] {
            guard let endpoint = configuration.plaintextEndpoints.first(where: { $0.address.isIPv6 == isIPv6 }) else {
                continue
            }
            var opened = 0
            var port = Self.senderPorts.lowerBound + UInt16.random(in: 0..<8192)
            while opened < Self.sendersPerFamily {
                port = port == Self.senderPorts.upperBound ? Self.senderPorts.lowerBound : port + 1
                let wanted = Endpoint(address: endpoint.address, port: port, scope: endpoint.scope)
                do {
                    lane.senders.append(try sendingSocket(wanted, fragmentation: true))
                    opened += 1
                } catch {
                    // Somebody has this port; another does as well. Anything else is the user's to know.
                    guard error.isAddressInUse else { throw error }
                }
            }
        }
    }

    /// Finds out which of the wanted offloads the kernel has, from what was opened.
    func probe(_ lanes: borrowing OwnedArray<LanePorts>) -> (packets: PacketOffloads, board: OffloadBoard) {
        let wanted = configuration.offloads
        var taps = TAPOffloads.all
        var sendsRuns = true
        var receivesRuns = true
        for lane in 0..<lanes.count {
            let able = lanes[lane].offloads()
            taps.formIntersection(able.taps)
            sendsRuns = sendsRuns && able.sendsRuns
            receivesRuns = receivesRuns && able.receivesRuns
        }
        let has: [String: Bool] = [
            "tapTso": taps.contains(.tcpSegmentation), "tapUso": taps.contains(.udpSegmentation),
            "udpSegment": sendsRuns,
            "udpGro": receivesRuns,
        ]
        var packets = PacketOffloads()
        packets.joinsDatagrams = wanted.udpSegment && sendsRuns
        packets.coalescesTCP = wanted.coalescing
        packets.coalescesUDP = wanted.coalescing && taps.contains(.udpSegmentation)
        packets.aggregates = wanted.aggregation
        packets.elidesChecksums = wanted.partialChecksums
        let states = OffloadConfiguration.names.map { name, field -> (name: String, state: OffloadState) in
            (name, !wanted[keyPath: field] ? .off : has[name] == false ? .missing : .on)
        }
        return (packets, OffloadBoard(states))
    }
}
