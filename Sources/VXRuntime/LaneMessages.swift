import VXDataPlane
import VXWire

/// What a lane thread is asked to do.
enum LaneCommand: Sendable {
    case install(SessionParameters)
    case activate(ReceiverIndex, peer: PeerIndex, announce: Bool)
    case stopSending(ReceiverIndex)
    case retire(ReceiverIndex)
    case keepalive(PeerIndex)
    case control(PeerIndex, [UInt8])
    case report(PeerIndex, ReceiverIndex)
    case dropWaiting(PeerIndex)
    case setEndpoint(PeerIndex, Endpoint)
    case stop
}

/// What the handshake thread is told.
enum HandshakeMessage: Sendable {
    case event(DataPlaneEvent)
    case installed(ReceiverIndex)
    case retired(ReceiverIndex)
    /// The clocks jumped apart: the lane has erased its pairs.
    case clockJumped
    case rekey(PeerIndex)
    case stop
}
