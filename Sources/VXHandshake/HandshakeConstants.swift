public import VXWire

/// Every number of protocol.md, 2 and 4, under the name it has there (WireGuard's where it has one).
public enum HandshakeConstants {
    /// Noise_IKhfs+psk2: the protocol name that starts the handshake hash.
    static let protocolName = "Noise_IKhfs+psk2_25519+MLKEM768_ChaChaPoly_BLAKE2b"
    /// Another version of the protocol fails authentication by this.
    static let prologue = Array("vxseal/1".utf8)
    /// What mac1's key is derived under.
    static let mac1Label = Array("vxseal mac1".utf8)

    /// An initiator renews its sending pair after this.
    public static let rekeyAfterTime = Interval.seconds(120)
    /// A responder renews the sending pair after this, if the initiator has not.
    public static let rekeyAfterTimeResponder = Interval.seconds(150)
    /// No pair is used after this.
    public static let rejectAfterTime = Interval.seconds(180)
    /// A pair is renewed after so many datagrams on a lane.
    public static let rekeyAfterMessages: UInt64 = 1 << 60
    /// How long an unanswered handshake is repeated before waiting frames are given up.
    public static let rekeyAttemptTime = Interval.seconds(90)
    /// The distance of two initiations.
    public static let rekeyTimeout = Interval.seconds(5)
    /// What is added to that distance at random, at most, in milliseconds.
    public static let rekeyTimeoutJitterMilliseconds: UInt32 = 333
    /// After records were received and nothing sent for this long, a keepalive is.
    public static let keepaliveTimeout = Interval.seconds(10)
    /// After something was sent and nothing received for this long, a handshake is started.
    public static let silenceTimeout = Interval.seconds(15)
    /// A pair that was replaced receives until it is silent for this long.
    public static let previousPairSilence = Interval.seconds(10)
    /// Of two crossing initiations an outstanding one younger than this stands (protocol.md, 2, Both at once).
    static let crossingTime = Interval.seconds(1)
    /// Pairs of one peer at any time.
    static let mostPairs = 4
    /// Lanes of one node.
    static let mostLanes: UInt8 = 16
    /// After a goodbye the pair still receives for this long, and no handshake is started.
    static let goodbyeLinger = Interval.seconds(1)
    /// Reports: their distance in a session's first ten seconds, and after.
    static let earlyReport = Interval.seconds(1)
    static let lateReport = Interval.seconds(10)

    /// Feature bit 1: more than one record in a datagram is accepted.
    static let aggregation: UInt8 = 0x02
}
