import Glibc
import VXLinux

/// The plugin that gives out addresses (IPAM), run as the specification's section 4 says.
struct AddressPlugin {
    /// Its name, as `host-local`.
    let name: String
    private let path: String
    private let environment: [String: String]

    /// Finds it.
    /// - Parameters:
    ///   - request: what the address plugin is given; its `ipam.type` names the plugin.
    ///   - directories: CNI_PATH.
    ///   - environment: this process's.
    init(of request: [String: JSON], in directories: [String], environment: [String: String]) throws(CNIError) {
        name = request["ipam"]?["type"]?.text ?? ""
        guard Attachment.isIdentifier(name) else {
            throw CNIError(.invalidConfiguration, "invalid ipam.type", "it must be the name of a plugin")
        }
        let candidates = directories.map { [name] in "\($0)/\(name)" }
        guard let path = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw CNIError(
                .addressPlugin,
                "the address plugin \(name) is missing",
                "looked in CNI_PATH: \(directories.joined(separator: ", ")); it comes with the CNI project's reference plugins"
            )
        }
        self.path = path
        self.environment = environment
    }

    /// Runs a command, once more in an older version where it does not know the one asked for.
    /// - Parameters:
    ///   - command: ADD, DEL, CHECK, GC, STATUS.
    ///   - attachment: whose; nil for commands about none.
    ///   - request: the configuration.
    /// - Returns: what it wrote.
    func run(_ command: Request.Command, _ attachment: Attachment?, _ request: [String: JSON]) throws(CNIError)
        -> [UInt8]
    {
        do {
            return try runOnce(command, attachment, request)
        } catch {
            guard error.code == CNIError.Code.incompatibleVersion.rawValue,
                let asked = try? PluginConfiguration.version(of: request),
                let version = try versions(request).filter({ $0 < asked }).max()
            else { throw error }
            var older = request
            older["cniVersion"] = .text(version.rawValue)
            return try runOnce(command, attachment, older)
        }
    }

    /// The versions that both know.
    func versions(_ request: [String: JSON]) throws(CNIError) -> [CNIVersion] {
        let output = try runOnce(
            .version,
            nil,
            ["cniVersion": request["cniVersion"] ?? .text(CNIVersion.latest.rawValue)]
        )
        let told = JSON(parsing: output)?["supportedVersions"]?.list ?? []
        return told.compactMap { $0.text.flatMap { CNIVersion(rawValue: $0) } }
    }

    private func runOnce(
        _ command: Request.Command,
        _ attachment: Attachment?,
        _ request: [String: JSON]
    ) throws(CNIError) -> [UInt8] {
        var environment = environment
        environment["CNI_COMMAND"] = command.rawValue
        if let attachment {
            environment["CNI_CONTAINERID"] = attachment.containerID
            environment["CNI_IFNAME"] = attachment.interface
        }
        let program: FilterProgram
        do {
            program = try FilterProgram(
                path,
                environment: environment,
                input: JSON.object(request).bytes,
                limit: Plugin.inputLimit
            )
        } catch {
            throw CNIError(.addressPlugin, "the address plugin \(name) did not run", "\(error)")
        }
        guard let output = program.output else {
            throw CNIError(.addressPlugin, "the address plugin \(name) wrote more than \(Plugin.inputLimit) bytes")
        }
        if program.code == 0 { return output }
        throw Self.error(of: name, code: program.code, output)
    }

    /// What a plugin that failed says, under its own number.
    static func error(of name: String, code: CInt, _ output: [UInt8]) -> CNIError {
        guard let told = JSON(parsing: output), let number = told["code"]?.integer else {
            let text = String(decoding: output.prefix(200), as: UTF8.self)
            return CNIError(.addressPlugin, "the address plugin \(name) ended with \(code)", text)
        }
        return CNIError(number: number, "\(name): \(told["msg"]?.text ?? "")", told["details"]?.text ?? "")
    }
}
