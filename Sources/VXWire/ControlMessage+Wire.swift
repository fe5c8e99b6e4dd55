extension ControlMessage {
    /// What a control record's body turned out to be.
    public enum Parsed: Equatable, Sendable {
        /// A message this version acts on.
        case message(ControlMessage)
        /// To be dropped and counted.
        case drop(DropReason)
    }

    /// Reads a control record's body, type byte first, of any length.
    public static func parse(_ body: RawSpan) -> Parsed {
        guard body.byteCount > 0 else { return .drop(.malformedControl) }
        guard let type = ControlType(rawValue: body.readUInt8(at: 0)) else { return .drop(.unknownControl) }
        let content = body.extracting(droppingFirst: 1)
        let message: ControlMessage?
        switch type {
        case .echoRequest: message = Echo(content).map { .echoRequest($0) }
        case .echoReply: message = Echo(content).map { .echoReply($0) }
        case .goodbye: message = content.isEmpty ? nil : .goodbye(reason: content.readUInt8(at: 0))
        case .report: message = parseReport(content)
        case .ports: message = content.isEmpty ? nil : PortUse(rawValue: content.readUInt8(at: 0)).map { .ports($0) }
        case .hello: message = parseHello(content)
        case .traceRequest: message = FrameTrace.Request(content).map { .traceRequest($0) }
        case .traceReply: message = FrameTrace.Reply(content).map { .traceReply($0) }
        case .pathMTUProbe:
            message = parsePathMTU(content).map { .pathMTUProbe(size: $0.size, identifier: $0.identifier) }
        case .pathMTUAcknowledgement:
            message = parsePathMTU(content).map { .pathMTUAcknowledgement(size: $0.size, identifier: $0.identifier) }
        case .successor: message = content.byteCount == 72 ? .successor(content.copied) : nil
        case .successorAcknowledgement:
            message = content.byteCount == 32 ? .successorAcknowledgement(content.copied) : nil
        case .pskProposal: message = parsePSK(content)
        case .pskConfirmation:
            message =
                content.byteCount == 33
                ? .pskConfirmation(
                    generation: content.readUInt8(at: 0),
                    code: content.extracting(droppingFirst: 1).copied
                ) : nil
        }
        return message.map { .message($0) } ?? .drop(.malformedControl)
    }

    /// The body of a control record, type byte first. A name is cut at the last whole character that fits; a report of
    /// no or too many lanes traps.
    public var bytes: [UInt8] {
        var bytes = [type.rawValue]
        switch self {
        case .echoRequest(let echo), .echoReply(let echo):
            bytes.append(bigEndian: echo.identifier)
            bytes.append(bigEndian: echo.sequence)
            bytes.append(bigEndian: echo.sentAt)
            bytes += echo.opaque
        case .traceRequest(let request): bytes += request.body
        case .traceReply(let reply): bytes += reply.body
        case .pathMTUProbe(let size, let identifier), .pathMTUAcknowledgement(let size, let identifier):
            bytes.append(bigEndian: size)
            bytes.append(bigEndian: identifier)
        case .successor(let content), .successorAcknowledgement(let content):
            bytes += content
        case .psk(let step, let generation, let nonce):
            bytes += [step.rawValue, generation] + nonce
        case .pskConfirmation(let generation, let code):
            bytes += [generation] + code
        case .goodbye(let reason):
            bytes.append(reason)
        case .report(let lanes):
            precondition((1...Self.mostLanes).contains(lanes.count), "a report has 1 to 16 lanes")
            for lane in lanes {
                bytes.append(bigEndian: lane.highestCounter)
                bytes.append(bigEndian: lane.received)
            }
        case .ports(let use):
            bytes.append(use.rawValue)
        case .hello(let name):
            for scalar in name.unicodeScalars {
                let encoded = UTF8.encode(scalar)!
                guard bytes.count + encoded.count <= 1 + Self.mostNameBytes else { break }
                bytes += encoded
            }
        }
        return bytes
    }

    private static func parsePathMTU(_ content: RawSpan) -> (size: UInt16, identifier: UInt32)? {
        content.byteCount < 6 ? nil : (content.readUInt16(at: 0), content.readUInt32(at: 2))
    }

    private static func parsePSK(_ content: RawSpan) -> ControlMessage? {
        guard content.byteCount == 34, let step = PSKStep(rawValue: content.readUInt8(at: 0)) else { return nil }
        return .psk(step, content.readUInt8(at: 1), content.extracting(droppingFirst: 2).copied)
    }

    private static func parseReport(_ content: RawSpan) -> ControlMessage? {
        guard !content.isEmpty, content.byteCount % 16 == 0, content.byteCount / 16 <= mostLanes else { return nil }
        return .report(
            stride(from: 0, to: content.byteCount, by: 16).map { offset in
                LaneReport(highestCounter: content.readUInt64(at: offset), received: content.readUInt64(at: offset + 8))
            }
        )
    }

    private static func parseHello(_ content: RawSpan) -> ControlMessage? {
        guard content.byteCount <= mostNameBytes,
            let name = String(validating: content.copied, as: UTF8.self)
        else { return nil }
        return .hello(
            name: String(String.UnicodeScalarView(name.unicodeScalars.map { $0.isShowable ? $0 : "\u{fffd}" }))
        )
    }
}

extension ControlMessage.Echo {
    fileprivate init?(_ content: RawSpan) {
        guard content.byteCount >= 16 else { return nil }
        self.init(
            identifier: content.readUInt32(at: 0),
            sequence: content.readUInt32(at: 4),
            sentAt: content.readUInt64(at: 8),
            opaque: content.extracting(droppingFirst: 16).copied
        )
    }
}

extension Unicode.Scalar {
    /// A peer's name ends up in logs and terminals, where escape sequences, line ends and direction marks would forge
    /// text around it.
    fileprivate var isShowable: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

extension RawSpan {
    var copied: [UInt8] { (0..<byteCount).map { readUInt8(at: $0) } }
}

extension [UInt8] {
    mutating func append(bigEndian value: some FixedWidthInteger) {
        for shift in stride(from: value.bitWidth &- 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
