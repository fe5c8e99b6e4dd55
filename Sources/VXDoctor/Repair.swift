import Foundation
import Glibc
import VXNetlink

extension Repair {
    /// Makes the change.
    /// - Returns: nil when it is made; else the call and why not.
    public func apply() -> String? {
        switch self {
        case .mode(let path, let mode):
            guard chmod(path, mode) != 0 else { return nil }
            return "chmod: \(String(cString: strerror(errno))), \(path)"
        case .setting(let path, let value):
            let descriptor = open(path, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return "open: \(String(cString: strerror(errno))), \(path)" }
            defer { close(descriptor) }
            guard write(descriptor, value, value.utf8.count) < 0 else { return nil }
            return "write: \(String(cString: strerror(errno))), \(path)"
        case .bridge(let name):
            do {
                try NetworkConfigurator().remove(name)
                return nil
            } catch {
                return "\(error)"
            }
        }
    }
}
