import VXDataPlane
import VXLinux
import VXWire

/// What captures see of the handshake thread: its messages, each received one with what became of it, and before the answers
/// to it.
struct HandshakeCaptures: ~Copyable {
    private var taps = CaptureTaps()
    /// Why the message that is being handled was dropped.
    var refusal: DropReason?
    private var isHandling = false
    private var arrivedAt = Instant(nanoseconds: 0)
    private var answers: [(label: CaptureLabel, bytes: [UInt8])] = []

    /// Starts a capture at a place, or ends it.
    mutating func set(_ program: CaptureProgram?, at place: Int) { taps.set(program, at: place) }

    /// A message came; `handled` says what became of it.
    mutating func begin() {
        isHandling = taps.wantsDatagrams
        guard isHandling else { return }
        arrivedAt = Clocks.bootTime()
        refusal = nil
    }

    /// A message left.
    mutating func sent(_ message: [UInt8], to endpoint: Endpoint, from port: UInt16) {
        guard taps.wantsDatagrams else { return }
        let label = label(isSent: true, length: message.count, remote: endpoint, port: port)
        if isHandling { answers.append((label, message)) } else { offer(message, label) }
    }

    /// The message that came has been handled.
    mutating func handled(_ message: UnsafeRawBufferPointer, from source: Endpoint, to port: UInt16) {
        guard isHandling else { return }
        isHandling = false
        var arrived = label(isSent: false, length: message.count, remote: source, port: port)
        arrived.time = arrivedAt
        arrived.dropped = refusal
        if let base = message.baseAddress { taps.offer(base, count: message.count, label: arrived) }
        for (label, message) in answers { offer(message, label) }
        answers.removeAll()
    }

    private func label(isSent: Bool, length: Int, remote: Endpoint, port: UInt16) -> CaptureLabel {
        var label = CaptureLabel(time: Clocks.bootTime(), isOuter: true, isSent: isSent, length: length)
        label.remote = remote
        label.localPort = port
        label.lane = CaptureLabel.noLane
        return label
    }

    private func offer(_ message: [UInt8], _ label: CaptureLabel) {
        message.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { taps.offer(base, count: bytes.count, label: label) }
        }
    }
}
