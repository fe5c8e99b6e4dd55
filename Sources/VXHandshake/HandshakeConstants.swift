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
    /// That distance once REKEY_ATTEMPT_TIME has passed without an answer, until traffic for the peer waits.
    public static let unreachableTimeout = Interval.seconds(30)
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
    /// What the cookie replies' key is derived under.
    static let cookieLabel = Array("vxseal cookie".utf8)
    /// A cookie's secret is renewed after this; the one before it is still taken (protocol.md, 3).
    static let cookieSecretTime = Interval.seconds(120)
    /// Initiations from one source prefix, a second and at once.
    static let initiationsPerSecond: UInt32 = 20
    static let initiationBurst: UInt32 = 5

    /// Path MTU (RFC 8899, 5.1; protocol.md, 5), in bytes of IP packet: what every path is taken to carry.
    static let basePathMTU = 1280
    /// MAX_PROBES.
    static let mostProbes = 3
    /// PROBE_TIMER follows the round trip within these.
    static let leastProbeTimeout = Interval.seconds(1)
    static let mostProbeTimeout = Interval.seconds(5)
    /// Under traffic the size in use is tried again this often.
    static let pathMTUConfirmation = Interval.seconds(10)
    /// PMTU_RAISE_TIMER.
    static let pathMTURaise = Interval.seconds(600)
    /// Sizes tried at once, and how near the search comes.
    static let probesAtOnce = 8
    static let pathMTUGranularity = 4

    /// A statement or proposal that waits for its answer is repeated after 1, 2, 4 ... 60 s (protocol.md, 6).
    static let firstRepetition = Interval.seconds(1)
    static let lastRepetition = Interval.seconds(60)
    /// Pairs under a key that was retired end after this.
    static let retiredKeyLinger = Interval.seconds(10)
    /// After so many unanswered initiations the other key, or the other generation, is tried in turn.
    static let failuresBeforeOther = 3
    /// Reports on a pair that was replaced: the first covers what was on the way, the second what the first one was.
    public static let closingReports: [Interval] = [.seconds(1), .seconds(3)]

    /// After a goodbye the pair still receives for this long, and no handshake is started.
    static let goodbyeLinger = Interval.seconds(1)
    /// Reports: their distance in a session's first ten seconds, and after.
    static let earlyReport = Interval.seconds(1)
    static let lateReport = Interval.seconds(10)

    /// A lane whose datagrams are reported as not received for this long, and of which there were at least so many (one or
    /// two may simply be lost), is sent from the listen port; its own port is tried again this often.
    static let blackLaneTime = Interval.seconds(5)
    static let blackLaneDatagrams: UInt64 = 3
    static let blackLaneRetry = Interval.seconds(60)
    /// A lane that no report has shown yet sends an empty datagram this often, so many times at most.
    static let laneKeepalive = Interval.seconds(1)
    static let mostLaneKeepalives = 10
    /// Datagrams of a black lane's trial; and when the lane has surely sent them (its counters are seen every 200 ms).
    static let laneTrialDatagrams = 3
    static let laneTrialSettling = Interval.milliseconds(500)
}
