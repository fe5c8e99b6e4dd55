import VXCrypto
public import VXWire

// Paths that carry less than the devices send (product.md, Path MTU; protocol.md, 5).
extension VTEP {
    /// Fragments that one frame may become.
    static var mostFragments: Int { 16 }
    /// Answers a second of one lane, and at once: enough for every flow that meets a new path, too few to flood with.
    private static var answersPerSecond: UInt64 { 100 }

    /// What an IP packet to the peer may measure. Until this is called frames of any size are sent.
    public mutating func setPathMTU(_ bytes: Int, of peer: PeerIndex) {
        let place = Int(peer.rawValue)
        peers[place].pathMTU = bytes
        applyPathMTU(place)
    }

    /// The endpoint's family decides how much of a packet is left for a frame.
    mutating func applyPathMTU(_ place: Int) {
        guard let bytes = peers[place].pathMTU, let endpoint = peers[place].endpoint else {
            peers[place].largestFrame = Int.max
            peers[place].largestRecords = Self.leastRecords
            return
        }
        let payload = bytes - Self.udpOverhead(isIPv6: endpoint.address.isIPv6)
        peers[place].largestFrame = payload - Self.headroom - Self.tailroom
        peers[place].largestRecords = payload - SealedHeader.length - Self.tailroom
    }

    /// Records that every path carries: until more is known, no more small frames than these share a datagram.
    static var leastRecords: Int { 1280 - udpOverhead(isIPv6: true) - SealedHeader.length - tailroom }

    /// IP and UDP headers.
    public static func udpOverhead(isIPv6: Bool) -> Int { (isIPv6 ? 40 : 20) + 8 }

    /// Sends a probe that makes an IP packet of `size` bytes.
    /// - Returns: false when there is no usable pair or the probe is larger than this node's datagrams.
    public mutating func sendProbe(size: Int, identifier: UInt32, to peer: PeerIndex, now: Instant) -> Bool {
        guard let session = usableSession(of: peer, now: now),
            let endpoint = peers[Int(peer.rawValue)].endpoint
        else { return false }
        let length = size - Self.udpOverhead(isIPv6: endpoint.address.isIPv6)
        let body = ControlMessage.pathMTUProbe(size: UInt16(clamping: size), identifier: identifier).bytes
        let records = length - SealedHeader.length - Self.tailroom
        guard records <= Self.largestStaged, records >= RecordHeader.length + body.count, hasRoom(for: records) else {
            return false
        }
        // Zero bytes behind the record are padding, whose kind is zero.
        staging.initializeMemory(as: UInt8.self, repeating: 0, count: records)
        Self.writeRecordHeader(kind: RecordHeader.controlKind, length: body.count, at: staging)
        (staging + RecordHeader.length).copyBytes(body)
        return sealDatagram(records: staging, count: records, session: session, now: now)
    }

    /// A frame that the peer's path does not carry.
    @inline(never)
    @_semantics("no_performance_analysis")
    mutating func handleTooBig(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) {
        let place = Int(session.pointee.peer.rawValue)
        let bytes = UnsafeRawBufferPointer(start: frame, count: count)
        let largest = peers[place].largestFrame
        let answer =
            answers.room > 0 && delivered.room > 0 && relayed.room > 0 && mayAnswer(now: now) ? answers.take() : nil
        let output = (answer ?? spareAnswer) + Self.answerHeadroom
        switch PacketTooBig.remedy(for: bytes, largestFrame: largest, output: output) {
        case .fragment:
            let header = 14 + 16 + 60 + 2 * (Self.headroom + Self.tailroom)
            guard let fragments = IPv4Fragments(bytes, largestFrame: largest),
                fragments.count <= Self.mostFragments,
                outgoing.hasRoom(
                    bytes: open.count + count + fragments.count * header,
                    datagrams: fragments.count + 1
                )
            else { return dropTooBig(frame, count: count, network: network, peer: place, now: now) }
            // A super-frame was shown before it was cut.
            if captures.passedFrames != 0, cursor.segmenter == nil {
                captureSent(frame, to: place, epoch: session.pointee.epoch, now: now)
            }
            // The frame itself may stand at the front of the staging memory.
            let slot = staging + Self.largestStaged + 1 + Self.headroom
            for number in 0..<fragments.count {
                let length = fragments.write(number, to: slot)
                seal(slot, count: length, network: network, isPartial: false, session: session, now: now)
            }
        case .answer(let length):
            dropTooBig(frame, count: count, network: network, peer: place, now: now)
            guard answer != nil, cursor.origin != nil || networks[network].hasDevice else { return }
            answersLeft -= 1
            if let origin = cursor.origin { return tell(output, count: length, network: network, behind: origin) }
            _ = delivered.append(output, count: length, network: network, offload: VirtioNetHeader())
        case .drop:
            dropTooBig(frame, count: count, network: network, peer: place, now: now)
        }
    }

    private func dropTooBig(_ frame: UnsafeRawPointer, count: Int, network: Int, peer place: Int, now: Instant) {
        let peer = PeerIndex(UInt16(truncatingIfNeeded: place))
        dropSent(.tooBig, frame, count: count, network: network, peer: peer, now: now)
    }

    /// Tells a station behind the peer that a relayed packet came from.
    private mutating func tell(_ frame: UnsafeMutableRawPointer, count: Int, network: Int, behind peer: PeerIndex) {
        relayed.append(
            RelayedFrame(
                frame: frame,
                count: count,
                network: network,
                offload: VirtioNetHeader(),
                origin: nil,
                target: peer,
                toPlaintext: peers[Int(peer.rawValue)].isPlaintext
            )
        )
    }

    /// A vnet header stands before a frame that is written to a device.
    static var answerHeadroom: Int { 16 }
    /// Bytes of a slot for an answer.
    static var answerSlot: Int { answerHeadroom + PacketTooBig.mostAnswer }

    private mutating func mayAnswer(now: Instant) -> Bool {
        if now.since(answersSince) >= .seconds(1) {
            answersSince = now
            answersLeft = Self.answersPerSecond
        }
        return answersLeft > 0
    }
}

extension UnsafeMutableRawPointer {
    func copyBytes(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            copyMemory(from: base, byteCount: source.count)
        }
    }
}
