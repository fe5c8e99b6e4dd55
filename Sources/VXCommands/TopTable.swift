import Foundation
import VXControlSocket

/// Rows and columns of one page of `vxseal top`.
struct TopTable {
    struct Column {
        let title: String
        let isNumber: Bool
        /// Columns of a high number give way first on a narrow terminal.
        let rank: Int
    }

    struct Row {
        let cells: [String]
        /// By column but the first: what it is sorted by.
        let keys: [Double]
        /// Something is wrong with it.
        var isAlarming = false
    }

    let columns: [Column]
    let rows: [Row]

    /// The columns that a terminal has room for, and their widths.
    struct Fit {
        let places: [(place: Int, width: Int, isNumber: Bool)]

        func line(_ cells: [String]) -> String {
            places.map { place, width, isNumber in
                let cell = String(cells[place].prefix(width))
                let padding = String(repeating: " ", count: width - cell.count)
                return isNumber ? padding + cell : cell + padding
            }.joined(separator: "  ")
        }
    }

    func header(sorted column: Int, isReversed: Bool) -> [String] {
        let sorted = column % max(1, columns.count)
        return columns.enumerated().map { place, column in
            place == sorted && place > 0 ? column.title + (isReversed ? "▾" : "▴") : column.title
        }
    }

    func fitting(_ width: Int) -> Fit {
        // A title may have its arrow.
        var widths = columns.enumerated().map { place, column in
            max(column.title.count + (place > 0 ? 1 : 0), rows.map { $0.cells[place].count }.max() ?? 0)
        }
        // A long name must not push everything else away.
        widths[0] = min(widths[0], max(8, width / 3))
        var places = Array(columns.indices)
        while places.count > 1, places.reduce(-2, { $0 + widths[$1] + 2 }) > width,
            let last = places.max(by: { columns[$0].rank < columns[$1].rank })
        {
            places.removeAll { $0 == last }
        }
        return Fit(places: places.map { ($0, widths[$0], columns[$0].isNumber) })
    }
}

/// What flowed and was dropped lately, from one status to the next.
struct TopHistory {
    struct Rate {
        var received: UInt64 = 0
        var sent: UInt64 = 0
        var sum: UInt64 { received + sent }
    }

    /// Values of a sparkline.
    static let length = 16
    private static let bars = Array("▁▂▃▄▅▆▇█")

    private struct Track {
        var received: UInt64
        var sent: UInt64
        var rates: [Rate] = []
    }

    private var tracks: [String: Track] = [:]
    private var lastSeconds: Double?

    mutating func note(_ status: StatusReply, at seconds: Double) {
        let elapsed = lastSeconds.map { seconds - $0 }
        lastSeconds = seconds
        var next: [String: Track] = [:]
        func note(_ name: String, _ received: UInt64, _ sent: UInt64) {
            var track = tracks[name] ?? Track(received: received, sent: sent)
            if let elapsed, elapsed > 0, tracks[name] != nil {
                // A restarted daemon counts from zero.
                func rate(_ now: UInt64, _ then: UInt64) -> UInt64 {
                    now < then ? 0 : UInt64(Double(now - then) / elapsed)
                }
                track.rates.append(Rate(received: rate(received, track.received), sent: rate(sent, track.sent)))
                track.rates.removeFirst(max(0, track.rates.count - Self.length))
            }
            (track.received, track.sent) = (received, sent)
            next[name] = track
        }
        for peer in status.peers { note("peer \(peer.name)", peer.received.bytes, peer.sent.bytes) }
        for network in status.networks {
            let traffic = network.traffic
            note("network \(network.vni)", traffic?.receivedBytes ?? 0, traffic?.sentBytes ?? 0)
        }
        for (reason, count) in status.drops { note("drop \(reason)", count, 0) }
        for (number, lane) in status.laneTraffic.enumerated() {
            note("lane \(number)", lane.received.bytes, lane.sent.bytes)
            note("frames \(number)", lane.received.frames, lane.sent.frames)
        }
        tracks = next
    }

    func rate(of name: String) -> Rate { tracks[name]?.rates.last ?? Rate() }

    private func sparkline(of name: String) -> String {
        let values = tracks[name]?.rates.map(\.sum) ?? []
        guard let most = values.max(), most > 0 else { return String(repeating: "▁", count: values.count) }
        return String(values.map { Self.bars[Int(Double($0) / Double(most) * Double(Self.bars.count - 1))] })
    }

    // MARK: - Pages

    func peers(_ status: StatusReply) -> TopTable {
        let rows = status.peers.map { peer in
            let rate = rate(of: "peer \(peer.name)")
            let lost = peer.lost.received + peer.lost.sent
            let dropped = peer.drops.values.reduce(0, +)
            let isWell = ["established", "plaintext"].contains(peer.state)
            return TopTable.Row(
                cells: [
                    peer.name, peer.state, Terminal.rate(rate.received), Terminal.rate(rate.sent), String(lost),
                    peer.rttMicroseconds.map { Terminal.milliseconds(Double($0)) } ?? "-",
                    peer.pathMTU.map(String.init) ?? "-", Terminal.span(peer.keyAgeSeconds),
                    peer.tripwires > 0 ? String(peer.tripwires) : "-", String(dropped),
                    sparkline(of: "peer \(peer.name)"),
                ],
                keys: [
                    isWell ? 0 : 1, Double(rate.received), Double(rate.sent), Double(lost),
                    Double(peer.rttMicroseconds ?? 0), Double(peer.pathMTU ?? 0), peer.keyAgeSeconds ?? 0,
                    Double(peer.tripwires), Double(dropped), Double(rate.sum),
                ],
                isAlarming: !isWell || peer.tripwires > 0
            )
        }
        return TopTable(
            columns: [
                .init(title: "PEER", isNumber: false, rank: 0), .init(title: "STATE", isNumber: false, rank: 1),
                .init(title: "IN", isNumber: true, rank: 2), .init(title: "OUT", isNumber: true, rank: 3),
                .init(title: "LOST", isNumber: true, rank: 4), .init(title: "RTT", isNumber: true, rank: 5),
                .init(title: "MTU", isNumber: true, rank: 8), .init(title: "KEY", isNumber: true, rank: 7),
                .init(title: "TRIPWIRES", isNumber: true, rank: 9), .init(title: "DROPS", isNumber: true, rank: 10),
                .init(title: "RATE", isNumber: false, rank: 6),
            ],
            rows: rows
        )
    }

    func networks(_ status: StatusReply) -> TopTable {
        let rows = status.networks.map { network in
            let rate = rate(of: "network \(network.vni)")
            let isStopped = network.relay?.isStopped == true
            let dropped = network.drops.values.reduce(0, +)
            return TopTable.Row(
                cells: [
                    String(network.vni), network.mode, network.device ?? (isStopped ? "relay STOPPED" : "relay"),
                    Terminal.rate(rate.received), Terminal.rate(rate.sent), String(network.fdb.learned),
                    String(network.mtu), String(dropped), sparkline(of: "network \(network.vni)"),
                ],
                keys: [
                    network.mode == "sealed" ? 0 : 1, network.device == nil ? 1 : 0, Double(rate.received),
                    Double(rate.sent), Double(network.fdb.learned), Double(network.mtu), Double(dropped),
                    Double(rate.sum),
                ],
                isAlarming: isStopped || network.isKeptApart == true
            )
        }
        return TopTable(
            columns: [
                .init(title: "VNI", isNumber: false, rank: 0), .init(title: "MODE", isNumber: false, rank: 1),
                .init(title: "DEVICE", isNumber: false, rank: 2), .init(title: "IN", isNumber: true, rank: 3),
                .init(title: "OUT", isNumber: true, rank: 4), .init(title: "STATIONS", isNumber: true, rank: 5),
                .init(title: "MTU", isNumber: true, rank: 7), .init(title: "DROPS", isNumber: true, rank: 8),
                .init(title: "RATE", isNumber: false, rank: 6),
            ],
            rows: rows
        )
    }

    func drops(_ status: StatusReply) -> TopTable {
        let dropped = status.drops.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        let rows = dropped.map { reason, count in
            let rate = rate(of: "drop \(reason)").received
            return TopTable.Row(
                cells: [reason, String(count), "\(rate)/s", sparkline(of: "drop \(reason)")],
                keys: [Double(count), Double(rate), Double(rate)],
                isAlarming: rate > 0
            )
        }
        return TopTable(
            columns: [
                .init(title: "REASON", isNumber: false, rank: 0), .init(title: "TOTAL", isNumber: true, rank: 1),
                .init(title: "NOW", isNumber: true, rank: 2), .init(title: "RATE", isNumber: false, rank: 3),
            ],
            rows: rows
        )
    }

    func lanes(_ status: StatusReply) -> TopTable {
        let rows = status.laneTraffic.enumerated().map { number, lane in
            let rate = rate(of: "lane \(number)")
            let frames = self.rate(of: "frames \(number)")
            let drops = lane.drops.values.reduce(0, +)
            return TopTable.Row(
                cells: [
                    String(number), Terminal.rate(rate.received), Terminal.rate(rate.sent), "\(frames.received)/s",
                    "\(frames.sent)/s", String(drops), sparkline(of: "lane \(number)"),
                ],
                keys: [
                    Double(rate.received), Double(rate.sent), Double(frames.received), Double(frames.sent),
                    Double(drops), Double(rate.sum),
                ]
            )
        }
        return TopTable(
            columns: [
                .init(title: "LANE", isNumber: false, rank: 0), .init(title: "IN", isNumber: true, rank: 1),
                .init(title: "OUT", isNumber: true, rank: 2), .init(title: "FRAMES IN", isNumber: true, rank: 4),
                .init(title: "FRAMES OUT", isNumber: true, rank: 5), .init(title: "DROPS", isNumber: true, rank: 3),
                .init(title: "RATE", isNumber: false, rank: 6),
            ],
            rows: rows
        )
    }
}
