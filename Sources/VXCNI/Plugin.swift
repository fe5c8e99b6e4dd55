import Glibc
import VXLinux

/// The plugin: a request and a configuration in, JSON and an exit code out.
public struct Plugin {
    /// The most that is read of anything, in bytes.
    static let inputLimit = 1 << 20

    let request: Request
    let configuration: PluginConfiguration
    let environment: [String: String]

    var store: AttachmentStore {
        AttachmentStore(dataDirectory: configuration.dataDirectory, network: configuration.name)
    }

    /// Answers the request in this process's variables and on its stdin.
    /// - Returns: the exit code.
    public static func run() -> CInt {
        var version = CNIVersion.latest
        do throws(CNIError) {
            let environment = variables
            let request = try Request(environment: environment)
            let input = try read()
            let object: [String: JSON]
            if request.command == .version {
                // It is also how a runtime asks without knowing anything.
                object = (try? PluginConfiguration.object(from: input)) ?? [:]
                say(CNIVersion.answer(to: object["cniVersion"]?.text))
                return 0
            }
            object = try PluginConfiguration.object(from: input)
            version = try PluginConfiguration.version(of: object)
            guard version >= request.command.since else {
                throw CNIError(
                    .incompatibleVersion,
                    "cniVersion \(version.rawValue) has no \(request.command.rawValue)",
                    "it came with \(request.command.since.rawValue)"
                )
            }
            let plugin = Plugin(
                request: request,
                configuration: try PluginConfiguration(object),
                environment: environment
            )
            if let answer = try plugin.answer() { say(answer) }
            return 0
        } catch {
            say(error.json(version))
            return 1
        }
    }

    /// - Returns: what goes to stdout, if anything.
    private func answer() throws(CNIError) -> JSON? {
        switch request.command {
        case .add: return try add().json(configuration.version)
        case .check: try check()
        case .delete: try delete()
        case .collect: try collect()
        case .status: try status()
        case .version: return CNIVersion.answer(to: configuration.version.rawValue)
        }
        return nil
    }

    /// The agent's file.
    /// - Parameter missing: the code of the error when it is not there.
    func subnet(missing: CNIError.Code) throws(CNIError) -> SubnetEnvironment {
        let path = configuration.subnetFile
        let bytes: [UInt8]?
        do { bytes = try FileDescriptor(reading: path).readToEnd(limit: 65_536, name: path) } catch {
            if error.code == ENOENT {
                throw CNIError(
                    missing,
                    "\(path) is missing",
                    "vxseal agent writes it when the node has its subnet: does it run, and does its subnetFile say the same?"
                )
            }
            throw CNIError(error, "\(path) can't be read")
        }
        guard let bytes else { throw CNIError(.undecodable, "\(path) is longer than 64 KiB") }
        return try SubnetEnvironment(String(decoding: bytes, as: UTF8.self), file: path)
    }

    func addressPlugin(_ request: [String: JSON]) throws(CNIError) -> AddressPlugin {
        try AddressPlugin(of: request, in: self.request.path, environment: environment)
    }

    // MARK: - The process

    private static func read() throws(CNIError) -> [UInt8] {
        let input = FileDescriptor(owning: STDIN_FILENO)
        let bytes: [UInt8]?
        do { bytes = try input.readToEnd(limit: inputLimit, name: "stdin") } catch {
            throw CNIError(error, "stdin can't be read")
        }
        guard let bytes else {
            throw CNIError(.undecodable, "the network configuration on stdin is longer than \(inputLimit) bytes")
        }
        return bytes
    }

    private static func say(_ json: JSON) {
        var bytes = json.bytes + [0x0a]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            // Nobody listens.
            if written <= 0 { return }
            bytes.removeFirst(written)
        }
    }

    private static var variables: [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let text = next.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            next += 1
        }
        return variables
    }
}
