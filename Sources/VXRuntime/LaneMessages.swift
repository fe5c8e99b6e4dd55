public import VXDataPlane
public import VXWire

/// What a lane thread is asked to do.
enum LaneCommand: Sendable {
    case install(SessionParameters)
    case activate(ReceiverIndex, peer: PeerIndex, announce: Bool)
    case retire(ReceiverIndex)
    case keepalive(PeerIndex)
    case control(PeerIndex, [UInt8])
    case dropWaiting(PeerIndex)
    case setEndpoint(PeerIndex, Endpoint)
    case eraseAll
    case stop
}

/// What the handshake thread is told.
enum HandshakeMessage: Sendable {
    case event(DataPlaneEvent)
    case installed(ReceiverIndex)
    case retired(ReceiverIndex)
    /// The clocks jumped apart: the lane has erased its pairs.
    case clockJumped
    /// A datagram on a lane's socket that is no transport data, where the kernel could not steer.
    case datagram([UInt8], from: Endpoint)
    case rekey(PeerIndex)
    case setEndpoint(PeerIndex, Endpoint)
    case stop
}
