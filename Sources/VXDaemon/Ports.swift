import VXConfig
import VXDataPlane
import VXLinux
import VXRuntime
import VXWire

/// Opens the sockets of a node (protocol.md, 2a and 7).
struct PortOpener {
    let configuration: NodeConfiguration
    let lanes: Int

    /// Outer source ports of plaintext VXLAN come from here (RFC 7348, 5: the dynamic range).
    private static let senderPorts: ClosedRange<UInt16> = 49152...65535
    private static let sendersPerFamily = 16

    private func options(reusePort: Bool = false, fragmentation: Bool = false) -> UDPSocketOptions {
        var options = UDPSocketOptions()
        options.reusePort = reusePort
        options.fragmentation = fragmentation
        options.mark = configuration.firewallMark
        options.device = configuration.bindDevice
        return options
    }

    /// `[::]` alone stands for both families, each on sockets of its own.
    var sealedEndpoints: [Endpoint] {
        let any = IPAddress.v6(IPv6Address(high: 0, low: 0))
        guard let first = configuration.listen.first, configuration.listen.count == 1, first.address == any else {
            return configuration.listen
        }
        return [Endpoint(address: .v4(IPv4Address(0)), port: first.port), first]
    }

    /// The groups of the sealed port: the handshake thread's sockets and the lane's. The order of binding is the order that
    /// the steering program counts in.
    func openSealed(
        handshake: inout OwnedArray<UDPSocket>,
        lane: inout OwnedArray<UDPSocket>
    ) throws(SystemCallError) {
        for endpoint in sealedEndpoints {
            // A first bind without SO_REUSEPORT finds out whether somebody else has the port, which a group would share.
            _ = try UDPSocket(bind: endpoint, options: options())
            let first = try UDPSocket(bind: endpoint, options: options(reusePort: true, fragmentation: true))
            let second = try UDPSocket(bind: endpoint, options: options(reusePort: true))
            try first.steerLanes(threads: lanes)
            if configuration.offloads.udpGro { _ = second.receiveRuns() }
            handshake.append(first)
            lane.append(second)
        }
    }

    /// The plaintext ports, when any network is plaintext.
    func openPlaintext(
        receivers: inout OwnedArray<UDPSocket>,
        senders: inout OwnedArray<UDPSocket>
    ) throws(SystemCallError) {
        guard configuration.networks.contains(where: { $0.mode == .plaintext }) else { return }
        for endpoint in configuration.plaintextListen {
            let receiver = try UDPSocket(bind: endpoint, options: options(fragmentation: true))
            if configuration.offloads.udpGro { _ = receiver.receiveRuns() }
            receivers.append(receiver)
        }
        for isIPv6 in [false, true] {
            guard let endpoint = configuration.plaintextListen.first(where: { $0.address.isIPv6 == isIPv6 }) else {
                continue
            }
            var opened = 0
            var port = Self.senderPorts.lowerBound + UInt16.random(in: 0..<8192)
            while opened < Self.sendersPerFamily {
                port = port == Self.senderPorts.upperBound ? Self.senderPorts.lowerBound : port + 1
                let wanted = Endpoint(address: endpoint.address, port: port, scope: endpoint.scope)
                do {
                    let sender = try UDPSocket(bind: wanted, options: options(fragmentation: true))
                    try sender.rejectAll()
                    senders.append(sender)
                    opened += 1
                } catch {
                    // Somebody has this port; another does as well. Anything else is the user's to know.
                    guard error.isAddressInUse else { throw error }
                }
            }
        }
    }

    /// Finds out which of the wanted offloads the kernel has, from what was opened.
    func probe(
        devices: borrowing OwnedArray<TAPDevice>,
        sockets: borrowing OwnedArray<UDPSocket>
    ) -> (packets: PacketOffloads, board: OffloadBoard) {
        let wanted = configuration.offloads
        var taps = TAPOffloads.all
        for place in 0..<devices.count { taps.formIntersection(devices[place].offloads) }
        var sendsRuns = true
        var receivesRuns = true
        for place in 0..<sockets.count {
            sendsRuns = sendsRuns && sockets[place].sendsRuns()
            receivesRuns = receivesRuns && (!wanted.udpGro || sockets[place].receiveRuns())
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
