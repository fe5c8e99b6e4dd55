/// Label names and values as they are written between the braces of a sample, escaped once for all samples that have them.
public struct LabelSet: Sendable, Hashable {
    /// `peer="node-b",direction="sent"`; empty for no labels.
    let bytes: [UInt8]

    /// No labels.
    public static let none = LabelSet(bytes: [])

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// From names, which are the program's own, and values, which may be anything.
    public init(_ labels: (name: String, value: String)...) { self.init(labels) }

    /// From names, which are the program's own, and values, which may be anything.
    public init(_ labels: [(name: String, value: String)]) {
        var bytes: [UInt8] = []
        for (name, value) in labels { Self.append(name, value, to: &bytes) }
        self.bytes = bytes
    }

    /// These labels and one more.
    public func with(_ name: String, _ value: String) -> LabelSet {
        var bytes = bytes
        bytes.reserveCapacity(bytes.count + name.utf8.count + value.utf8.count + 4)
        Self.append(name, value, to: &bytes)
        return LabelSet(bytes: bytes)
    }

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
        bytes.append(contentsOf: name.utf8)
        bytes.append(contentsOf: [UInt8(ascii: "="), UInt8(ascii: "\"")])
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case UInt8(ascii: "\n"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
