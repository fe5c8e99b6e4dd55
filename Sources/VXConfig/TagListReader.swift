import VXWire
import Yams

/// Reads a network's `vlan`: the tags that it carries, as numbers, ranges (`100-199`) and the word `untagged`.
struct TagListReader {
    let problems: ProblemList

    /// IEEE 802.1Q-2022, 9.6: 0 says that there is no VLAN, 4095 is reserved.
    private static let identifiers: ClosedRange<UInt16> = 1...4094

    /// The identifiers, 0 for frames without one; nil without the field: every frame passes.
    func read(_ reader: MappingReader, place: Int) -> [UInt16]? {
        guard let node = reader.value("vlan") else { return nil }
        let items = reader.parsedItems(
            "vlan",
            "write VLAN numbers from 1 to 4094, ranges as 100-199, or untagged",
            Self.parse
        )
        if node.sequence?.isEmpty == true {
            problems.add(node, "networks[\(place)].vlan is empty: no frame would pass", "list tags, or remove it")
        }
        return Set(items.joined()).sorted()
    }

    private static func parse(_ text: String) -> ClosedRange<UInt16>? {
        if text == "untagged" { return 0...0 }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last,
            identifiers.contains(first), identifiers.contains(last)
        else { return nil }
        return first...last
    }

    /// The identifiers as `read` takes them, runs of neighbours as ranges.
    static func text(of identifiers: [UInt16]) -> String {
        var ranges: [ClosedRange<UInt16>] = []
        for identifier in identifiers where identifier > 0 {
            if let last = ranges.last, last.upperBound + 1 == identifier {
                ranges[ranges.count - 1] = last.lowerBound...identifier
            } else {
                ranges.append(identifier...identifier)
            }
        }
        let words = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return ((identifiers.first == 0 ? ["untagged"] : []) + words).joined(separator: ", ")
    }
}
