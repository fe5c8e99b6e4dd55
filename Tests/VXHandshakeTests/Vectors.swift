import Foundation
import Testing

/// Reads a JSON file of vectors.
func vectors(_ name: String) throws -> [[String: Any]] {
    let url = try #require(Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Vectors"))
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: url))
    return try #require((object as? [String: Any])?["vectors"] as? [[String: Any]])
}

/// Bytes of a hexadecimal text.
func hex(_ value: Any?) throws -> [UInt8] {
    let text = Array(try #require(value as? String).utf8)
    return try stride(from: 0, to: text.count, by: 2).map { place in
        try #require(UInt8(String(decoding: text[place..<place + 2], as: UTF8.self), radix: 16))
    }
}
