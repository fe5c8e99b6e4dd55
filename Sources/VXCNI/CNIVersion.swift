/// The versions of the CNI specification that the plugin speaks, the oldest first.
package enum CNIVersion: String, CaseIterable, Comparable, Sendable {
    case v0_3_1 = "0.3.1"
    case v0_4_0 = "0.4.0"
    case v1_0_0 = "1.0.0"
    case v1_1_0 = "1.1.0"

    /// The newest.
    package static let latest = CNIVersion.v1_1_0

    package static func < (left: CNIVersion, right: CNIVersion) -> Bool {
        allCases.firstIndex(of: left)! < allCases.firstIndex(of: right)!
    }

    /// The answer to VERSION.
    /// - Parameter asked: the version that the runtime named.
    package static func answer(to asked: String?) -> JSON {
        .object([
            "cniVersion": .text(asked ?? latest.rawValue),
            "supportedVersions": .list(allCases.map { .text($0.rawValue) }),
        ])
    }
}
