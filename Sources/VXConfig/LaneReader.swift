import VXWire
import Yams

/// Reads `lanes`, `lanePorts` and `busyPoll`.
struct LaneReader {
    let reader: MappingReader
    let problems: ProblemList

    /// protocol.md, 2: lane counts are 1 to 16.
    private static let most = 16
    /// Microseconds; who looks longer than this has given its core away.
    private static let longestBusyPoll: UInt64 = 1000

    /// The lane count; nil for `auto`, which is also the default.
    func count() -> Int? {
        reader.value("lanes")?.string == "auto" ? nil : reader.integer("lanes", in: 1...Self.most)
    }

    /// How long a lane without work looks for it before it sleeps; zero when absent.
    func busyPoll() -> Interval {
        let read = reader.parsed("busyPoll", "write it as 50us, from 0us to \(Self.longestBusyPoll)us") { text in
            guard text.hasSuffix("us"), let count = UInt64(text.dropLast(2)), count <= Self.longestBusyPoll else {
                return nil as Interval?
            }
            return Interval(nanoseconds: count * 1000)
        }
        return read ?? .seconds(0)
    }

    /// The ports of lanes 1 and up.
    /// - Parameters:
    ///   - lanes: the count, nil for `auto`.
    ///   - sourcePorts: with `fixed` no lane has a port of its own.
    ///   - taken: what else this node listens on.
    func ports(lanes: Int?, sourcePorts: SourcePorts, taken: [Endpoint]) -> [UInt16] {
        let ports = reader.parsedItems("lanePorts", "write port numbers from 1 to 65535") { text in
            UInt16(text).flatMap { $0 > 0 ? $0 : nil }
        }
        guard let node = reader.value("lanePorts"), node.sequence?.isEmpty == false else { return [] }
        func problem(_ what: String, _ mend: String) { problems.add(node, what, mend) }
        if sourcePorts == .fixed {
            problem("lanePorts are not used with `sourcePorts: fixed`", "remove one of the two")
        }
        if let lanes {
            if node.sequence?.count != lanes - 1 {
                problem(
                    "lanePorts are not as many as lanes 1 and up",
                    "list \(lanes - 1) port(s) for `lanes: \(lanes)`"
                )
            }
        } else {
            problem("lanePorts need a fixed number of lanes", "give `lanes:` a number, one more than there are ports")
        }
        if Set(ports).count != ports.count { problem("a port stands twice in lanePorts", "give each lane its own") }
        if let port = ports.first(where: { port in taken.contains { $0.port == port } }) {
            problem("lanePorts has \(port), which this node listens on", "choose another port")
        }
        return ports
    }
}
