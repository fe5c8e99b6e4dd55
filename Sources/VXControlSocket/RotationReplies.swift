/// What `POST /v1/rotate/identity` takes.
public struct RotateIdentityRequest: Codable, Sendable {
    /// For how long the old key is answered to at most, in seconds.
    public var overlapSeconds: UInt64

    /// For an overlap.
    public init(overlapSeconds: UInt64) { self.overlapSeconds = overlapSeconds }
}

/// What `POST /v1/rotate/psk`, `/v1/rotate/accept` and `/v1/rotate/forget` take.
public struct RotatePeerRequest: Codable, Sendable {
    /// The peer's name.
    public var peer: String
    /// The key to accept, base64; of `accept` only.
    public var key: String?

    /// For one peer.
    public init(peer: String, key: String? = nil) {
        self.peer = peer
        self.key = key
    }
}

/// What `GET /v1/rotate/status` and the rotations answer: schema `vxseal.rotation/1`.
public struct RotationReply: Codable, Sendable {
    /// One sealed peer.
    public struct Peer: Codable, Sendable {
        /// Its name.
        public var name: String
        /// The key it is known by now, base64.
        public var publicKey: String
        /// Its accepted successor that has no session yet.
        public var pendingKey: String?
        /// `announced`, `acknowledged` or `switched` to this node's new key; absent without an open rotation.
        public var progress: String?
        /// Two different successors were stated in its name.
        public var isContested: Bool
        /// The command that mends what is wrong, if anything is.
        public var mend: String?
        /// The preshared key's generation; 0 is the configured one.
        public var pskGeneration: UInt8
        /// Whether the next generation is under way.
        public var isRotatingPSK: Bool
        /// Its part in the rotation begun last.
        public var measured: Measured?

        /// From its parts.
        public init(
            name: String,
            publicKey: String,
            pendingKey: String?,
            progress: String?,
            isContested: Bool,
            mend: String?,
            pskGeneration: UInt8,
            isRotatingPSK: Bool,
            measured: Measured?
        ) {
            self.name = name
            self.publicKey = publicKey
            self.pendingKey = pendingKey
            self.progress = progress
            self.isContested = isContested
            self.mend = mend
            self.pskGeneration = pskGeneration
            self.isRotatingPSK = isRotatingPSK
            self.measured = measured
        }
    }

    /// What the last rotation cost with one peer.
    public struct Measured: Codable, Sendable {
        /// Whether the peer uses what is new.
        public var isFinished: Bool
        /// Whether both ends have reported their last of the sessions before it.
        public var isSettled: Bool
        /// From the command to the first session with the new key.
        public var seconds: Double
        /// Frames sent to it since the command.
        public var sentFrames: UInt64
        /// Datagrams lost in either direction since the command, by the session's own counters.
        public var lost: UInt64

        /// From its parts.
        public init(isFinished: Bool, isSettled: Bool, seconds: Double, sentFrames: UInt64, lost: UInt64) {
            self.isFinished = isFinished
            self.isSettled = isSettled
            self.seconds = seconds
            self.sentFrames = sentFrames
            self.lost = lost
        }
    }

    /// A rotation of this node's identity.
    public struct Open: Codable, Sendable {
        /// The key that goes, base64.
        public var oldKey: String
        /// The key that comes, base64.
        public var newKey: String
        /// Unix seconds after which the old key is erased.
        public var endsAt: UInt64

        /// From its parts.
        public init(oldKey: String, newKey: String, endsAt: UInt64) {
            self.oldKey = oldKey
            self.newKey = newKey
            self.endsAt = endsAt
        }
    }

    /// The schema's name and number.
    public var schema = "vxseal.rotation/1"
    /// The key that peers know this node by.
    public var publicKey: String
    /// The rotation that is open.
    public var open: Open?
    /// The rotation begun last: `identity` or `psk`.
    public var measuredKind: String?
    /// The key that it replaces, of `identity` only.
    public var measuredOldKey: String?
    /// Every sealed peer.
    public var peers: [Peer]

    /// From its parts.
    public init(publicKey: String, open: Open?, peers: [Peer]) {
        self.publicKey = publicKey
        self.open = open
        self.peers = peers
    }
}
