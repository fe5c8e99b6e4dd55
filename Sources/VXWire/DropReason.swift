/// Why a datagram, frame or message was not passed on. Every drop is counted under exactly one of these, and `status`
/// shows every one, also at zero; the raw names are part of `vxseal.status/1`.
public enum DropReason: UInt8, CaseIterable, Sendable {
    // Datagrams on the sealed port, before authentication.
    /// Shorter than its message type allows, of a wrong length, or cut by the receive buffer.
    case malformed
    /// The first byte is no message of protocol version 1.
    case unknownMessage
    /// A reserved byte is not zero.
    case reservedNotZero
    /// No live key pair has this receiver index.
    case unknownReceiver
    /// The lane is at or above the count that the peer announced.
    case laneOutOfRange
    /// The counter was seen before.
    case replayed
    /// The counter is older than the replay window, or beyond REJECT_AFTER_MESSAGES.
    case outsideWindow
    /// The AEAD tag does not fit.
    case authenticationFailed
    /// The key pair is older than REJECT_AFTER_TIME.
    case expiredKey
    /// From another source than the peer's endpoint, with `roaming: false`.
    case sourceMismatch

    /// Of a lane that another thread owns, whose ring is full.
    case laneHandover

    // Handshake.
    /// mac1 does not fit: the sender does not know this node's public key.
    case invalidMac1
    /// A handshake message that does not authenticate: wrong key, wrong PSK, another protocol version.
    case handshakeFailed
    /// The initiator's static key is none of the configured peers'.
    case unknownPeer
    /// An authentic initiation whose timestamp is not above the greatest seen.
    case staleTimestamp
    /// A second answer to an unconfirmed initiation within REKEY_TIMEOUT.
    case handshakeLimited
    /// Both sides initiated at once and this one's initiation stands.
    case handshakeCrossed
    /// A response to no outstanding initiation.
    case unexpectedResponse
    /// A lane count of 0 or above 16, or a PSK generation that is not held.
    case invalidPayload
    /// An initiation that was answered by a cookie instead of work.
    case cookieSent
    /// An initiation from a proven address whose prefix has had its share.
    case rateLimited
    /// An echo request beyond what a peer gets answered.
    case echoLimited
    /// A cookie reply to no outstanding initiation, or one that does not authenticate.
    case invalidCookie
    /// An initiation from a key that a rotation has retired.
    case retiredKey
    /// An initiation that names a preshared key that a rotation has retired.
    case pskRetired

    // Records and frames inside a sealed datagram.
    /// A record reaches beyond the end of its datagram.
    case truncatedRecord
    /// A record with flag bits this version does not know.
    case unknownRecordFlags
    /// A record of a kind this version does not know.
    case unknownRecord
    /// A control message of a type this version does not act on.
    case unknownControl
    /// A control message that is too short for its type.
    case malformedControl
    /// A successor statement that does not prove possession, or names a key that cannot be one.
    case invalidSuccessor
    /// A successor statement whose sequence does not rise.
    case staleSuccessor
    /// A second, different successor while one is unconfirmed.
    case successorConflict
    /// A successor statement from a peer with `acceptSuccessors: false`, or whose rotation is frozen.
    case successorRefused
    /// A message of a preshared key's rotation that fits none under way.
    case invalidPSKExchange
    /// The VXLAN header inside a record is not exactly flags 0x08 and zero reserved bits.
    case invalidVXLANHeader
    /// A partial checksum on a fragment or on anything but TCP and UDP.
    case invalidChecksumFlag

    // Plaintext VXLAN.
    /// The I flag is not set or the datagram is shorter than a VXLAN header.
    case invalidPlaintext
    /// Plaintext from an address that is no configured plaintext peer.
    case unknownSource
    /// Plaintext for a network that is sealed.
    case plaintextForSealed
    /// Plaintext from the address of a peer that has a key.
    case tripwire

    // Forwarding.
    /// The VNI is not configured here.
    case unknownVNI
    /// The VNI is not one of the peer's networks.
    case vniNotAllowed
    /// Shorter than an Ethernet header.
    case shortFrame
    /// A source MAC address that is zero or a group address.
    case invalidSource
    /// To 01:80:c2:00:00:00 to 0f.
    case linkLocal
    /// A MAC address of this node's device that arrives from a peer.
    case loopSuspected
    /// From a MAC address that is none of those in the peer's `allow.macs`.
    case macNotAllowed
    /// From a MAC address that a static entry or an `allow.macs` gives to somebody else.
    case exclusiveMAC
    /// From a station that moved too often within seconds and is held where it was.
    case macFlap
    /// From an inner address outside the peer's `allow.prefixes`, or an IP packet whose source cannot be seen.
    case sourceNotAllowed
    /// ARP whose sender, MAC address or IPv4 address, is not the peer's to claim.
    case arpNotAllowed
    /// Neighbour discovery whose target or link-layer address is not the peer's to claim, or that is malformed.
    case neighborNotAllowed
    /// A router advertisement or redirect from a peer without `allow.router`.
    case routerNotAllowed
    /// A DHCP or DHCPv6 server's answer from a peer without `allow.router`.
    case dhcpServerNotAllowed
    /// IPv6 headers of a peer with `allow` that are cut, or too many to see what they carry.
    case hiddenHeaders
    /// Of a VLAN that the network does not carry.
    case vlanNotAllowed
    /// A router marked congestion on the datagram of a packet whose sender takes no part in ECN (RFC 6040, 4.2).
    case notECNCapable
    /// The destination is known to be behind the side the frame came from.
    case hairpin
    /// A broadcast, multicast or unknown unicast frame beyond the network's `bumRate`.
    case floodLimited
    /// A broadcast, multicast or unknown unicast frame in a network with `flood: none`.
    case notFlooded
    /// A broadcast, multicast or unknown unicast frame that a relay does not pass on, since frames came back.
    case relayStopped
    /// Larger than the peer's path carries.
    case tooBig
    /// A super-frame of the own device whose vnet header contradicts its bytes.
    case invalidOffload
    /// No peer in this network to send to.
    case noPeer
    /// The peer has no session, and its queue of waiting frames is full or was given up.
    case noSession
    /// The peer has no known endpoint.
    case noEndpoint
    /// All counters of the key pair are used up.
    case counterExhausted

    // The system.
    /// The cipher's provider failed to seal a datagram.
    case sealFailed
    /// The kernel did not take a datagram: its socket buffer was full, or an error.
    case sendFailed
    /// The TAP device did not take a frame.
    case deviceFailed
    /// The kernel gives no guarded memory for the secrets of another handshake.
    case keyMemoryExhausted
    /// Full queue between two threads.
    case mailboxFull

    /// The name under which `status` and the metrics show it.
    public var name: String { String(describing: self) }
}
