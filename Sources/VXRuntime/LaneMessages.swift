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
    case report(ReceiverIndex)
    case probe(PeerIndex, size: Int, identifier: UInt32)
    case setPathMTU(PeerIndex, Int)
    case dropWaiting(PeerIndex)
    case setEndpoint(PeerIndex, Endpoint)
    case setPort(PeerIndex, isOwn: Bool)
    case tryOwnPort(PeerIndex, count: Int)
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
    /// The configured name of a peer stands for this address now.
    case resolved(PeerIndex, Endpoint)
    /// Something to be asked of the machine on its own thread.
    case ask(@Sendable (HandshakeLoop) -> Void)
    case stop
}
