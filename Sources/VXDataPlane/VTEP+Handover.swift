import VXWire

// Datagrams of other threads' lanes: in a run of UDP_GRO where lanes share their ports, or from a kernel that steers
// otherwise than it was told. They are never opened here, for key, counter and window belong to the owner.
extension VTEP {
    /// Gives the lane the rings to the other threads; before its thread runs.
    /// - Parameter rings: those of the node, which this keeps.
    public mutating func connect(_ rings: HandoverRings) {
        precondition(rings.threads == threads, "rings of another node")
        handoverRings = rings
        handover?.deallocate()
        let all = UnsafeMutablePointer<HandoverRing>.allocate(capacity: threads)
        for thread in 0..<threads { (all + thread).initialize(to: rings.ring(from: lane, to: thread)) }
        handover = all
    }

    /// The threads, one bit each, that were handed something since this was last called, and may be asleep.
    public mutating func takeThreadsToWake() -> UInt16 {
        defer { threadsToWake = 0 }
        return threadsToWake
    }

    /// Hands a datagram to the thread that owns its lane.
    @inline(__always)
    mutating func handOver(
        _ datagram: UnsafeRawPointer,
        count: Int,
        from source: Endpoint,
        outerECN: UInt8,
        session: UnsafeMutablePointer<TransportSession>,
        to thread: Int,
        now: Instant
    ) {
        func drop() {
            dropDatagram(.laneHandover, datagram, count: count, from: source, session: session, now: now)
        }
        guard let handover else { return drop() }
        switch handover[thread].push(datagram, count: count, source: source, outerECN: outerECN) {
        case .stored: break
        case .storedAfterSilence: threadsToWake |= 1 &<< UInt16(truncatingIfNeeded: thread)
        case .full: return drop()
        }
        handovers.add(1, at: 0)
    }
}
