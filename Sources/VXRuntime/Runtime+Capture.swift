public import VXDataPlane

extension Runtime {
    /// How many threads a capture needs a buffer of its own for: every lane and the handshake thread.
    public var captureThreads: Int { lanes.count + 1 }

    /// Starts a capture on every thread, in place of the one at this place.
    ///
    /// Returns when every thread looks for what it wants.
    /// - Parameters:
    ///   - place: below `CaptureTaps.most`, and nobody else's.
    ///   - filter: what it wants.
    ///   - buffers: as many as `captureThreads`; each thread writes to its own.
    public func startCapture(at place: Int, _ filter: CaptureFilter, to buffers: [CaptureBuffer]) async {
        precondition(buffers.count == captureThreads, "each thread has a buffer")
        await withCheckedContinuation { continuation in
            let barrier = LaneBarrier(lanes: lanes.count) { _ in continuation.resume() }
            for (lane, buffer) in zip(lanes, buffers) {
                let program = CaptureProgram(filter: filter, buffer: buffer)
                if !lane.mailbox.post(.capture(place, program, barrier)) { barrier.pass([]) }
            }
        }
        let program = CaptureProgram(filter: filter, buffer: buffers[lanes.count])
        await ask { $0.setCapture(program, at: place) }
    }

    /// Ends a capture. When this returns no thread has its buffers any more: whoever has them last spends the time to give
    /// back their memory, which must be no lane.
    public func endCapture(at place: Int) async {
        await withCheckedContinuation { continuation in
            let barrier = LaneBarrier(lanes: lanes.count) { _ in continuation.resume() }
            for lane in lanes where !lane.mailbox.post(.capture(place, nil, barrier)) { barrier.pass([]) }
        }
        await ask { $0.setCapture(nil, at: place) }
    }
}
