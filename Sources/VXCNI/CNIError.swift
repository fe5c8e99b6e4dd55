import VXLinux
import VXNetlink

/// What goes wrong, as the runtime is told (CNI specification 1.1.0, section 5, "Error").
package struct CNIError: Error, Equatable {
    /// What kind of mistake it is; those below 100 are the specification's.
    package enum Code: Int, Sendable {
        case incompatibleVersion = 1
        case unsupportedField = 2
        case unknownContainer = 3
        case invalidEnvironment = 4
        case inputOutput = 5
        case undecodable = 6
        case invalidConfiguration = 7
        case tryLater = 11
        case notAvailable = 50
        /// The kernel refused a change of the network.
        case network = 100
        /// The address plugin is missing, or its answer is of no use.
        case addressPlugin = 101
        /// An interface of this name is there already.
        case interfaceExists = 102
        /// CHECK found something else than ADD had left.
        case changed = 103
        /// nft refused the rules for masquerading, or is missing.
        case masquerade = 104
    }

    /// The number: one of `Code`, or an address plugin's own.
    package let code: Int
    /// What is wrong.
    package let message: String
    /// Where, why and how to mend it.
    package let details: String

    package init(_ code: Code, _ message: String, _ details: String = "") {
        self.init(number: code.rawValue, message, details)
    }

    package init(number: Int, _ message: String, _ details: String = "") {
        code = number
        self.message = message
        self.details = details
    }

    /// A system call about a file that failed.
    init(_ error: SystemCallError, _ message: String) {
        self.init(.inputOutput, message, "\(error)")
    }

    /// A change of the network that the kernel refused.
    init(_ error: NetlinkError, _ message: String) { self.init(.network, message, "\(error)") }

    /// The object for stdout.
    /// - Parameter version: the version that the configuration asks for.
    package func json(_ version: CNIVersion) -> JSON {
        var object: [String: JSON] = [
            "cniVersion": .text(version.rawValue), "code": .integer(code), "msg": .text(message),
        ]
        if !details.isEmpty { object["details"] = .text(details) }
        return .object(object)
    }
}
