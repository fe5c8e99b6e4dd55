import Foundation
import Testing

/// What a real flannel daemon wrote on two nodes, by run.
struct FlannelRecording: Decodable {
    struct Run: Decodable, Sendable, CustomTestStringConvertible {
        struct Key: Decodable {
            let key: String
            let value: String
            let lease: Bool
        }
        struct Node: Decodable {
            let underlay: String
            let subnetFile: String
            let route: [String]
            let neigh: [String]
            let fdb: [String]
            let route6: [String]?
            let neigh6: [String]?

            enum CodingKeys: String, CodingKey {
                case underlay, route, neigh, fdb, route6, neigh6
                case subnetFile = "subnet.env"
            }
        }
        let config: String
        let keys: [Key]
        let nodes: [String: Node]
        let leaseGrantedTTL: [Int]

        var testDescription: String { config }
        /// Keys below `subnets/`, with their values.
        var leases: [(id: String, value: String)] {
            keys.filter(\.lease).map { ($0.key.components(separatedBy: "/subnets/")[1], $0.value) }
        }
    }

    let runs: [Run]

    static let all: [Run] = {
        guard let url = Bundle.module.url(forResource: "Vectors/flannel-etcd", withExtension: "json"),
            let data = try? Data(contentsOf: url),
            let recording = try? JSONDecoder().decode(FlannelRecording.self, from: data)
        else { preconditionFailure("the recording cannot be read") }
        return recording.runs
    }()
}
