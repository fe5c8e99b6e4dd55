import Foundation
public import VXConfig
import VXDaemon
import VXLinux
import VXNetlink
import VXWire

extension Host {
    /// This machine, in the network namespace of this process.
    /// - Parameter configuration: whose packets the routes are for.
    public static func machine(_ configuration: NodeConfiguration?) -> Host {
        var host = Host()
        host.read = { path in
            // The kernel's files tell no size, so it is read to the end.
            guard let file = FileHandle(forReadingAtPath: path), let data = try? file.readToEnd() else { return nil }
            return String(decoding: data, as: UTF8.self)
        }
        host.list = { (try? FileManager.default.contentsOfDirectory(atPath: $0))?.sorted() ?? [] }
        host.target = { try? FileManager.default.destinationOfSymbolicLink(atPath: $0) }
        host.status = { path in
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            return FileStatus(mode: status.st_mode & 0o7777, owner: status.st_uid)
        }
        host.fileSystem = { MountTable.current.fileSystem(of: $0) }
        host.run = { program, words in
            ChildProcess.run(program, words).flatMap { $0.code == 0 ? $0.output : nil }
        }
        host.user = geteuid()
        host.isClockSynchronised = KernelState.isClockSynchronised
        host.hasEntropy = KernelState.hasEntropy
        guard let netlink = try? NetworkConfigurator() else { return host }
        host.links = (try? netlink.links()) ?? []
        host.addresses = (try? netlink.addresses()) ?? []
        let mark = configuration?.firewallMark ?? 0
        let bound = configuration?.bindDevice.flatMap { name in host.links.first { $0.name == name }?.index } ?? 0
        host.route = { endpoint in
            if endpoint.scope != 0 { return Int(endpoint.scope) }
            return (try? NetworkConfigurator())?.outputDevice(towards: endpoint.address, mark: mark, boundTo: bound)
        }
        return host
    }
}
