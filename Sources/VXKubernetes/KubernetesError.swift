import VXControl

/// Why a call of the Kubernetes API has no result. The texts never hold a token.
enum KubernetesError: Error, Sendable, Equatable {
    /// The API answered that it will not.
    case refused(Refusal)
    /// No whole answer came.
    case unreachable(String, String)
    /// An answer that is not the API's.
    case malformed(String, String)
    /// What the user has to mend on this node.
    case settings(String)

    /// The API's answer.
    struct Refusal: Sendable, Equatable {
        /// Verb and path.
        var call: String
        /// HTTP's status code, or that of an ERROR event.
        var code: Int
        /// The API's message, one short line.
        var message: String
        /// Seconds that the API asks to wait.
        var retryAfter: Double?
    }

    var code: Int? { if case .refused(let refusal) = self { refusal.code } else { nil } }

    var retryAfter: Double? { if case .refused(let refusal) = self { refusal.retryAfter } else { nil } }

    /// The versions that were asked for are no longer kept.
    var isGone: Bool { code == 410 }

    /// Asking again may help, without anybody doing something on this node.
    var isTransient: Bool {
        switch self {
        case .refused(let refusal): refusal.code == 429 || refusal.code == 409 || refusal.code >= 500
        case .unreachable, .malformed: true
        case .settings: false
        }
    }

    /// A foreign text, of one line and short.
    static func printable(_ text: String) -> String {
        String(text.unicodeScalars.prefix(300).map { $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0) })
    }

    var directoryError: DirectoryError { DirectoryError(description, isTransient: isTransient) }
}

extension KubernetesError: CustomStringConvertible {
    var description: String {
        switch self {
        case .refused(let refusal):
            "the Kubernetes API answers \(refusal.code) to \(refusal.call)"
                + (refusal.message.isEmpty ? "" : ": \(refusal.message)") + Self.mend(refusal.code)
        case .unreachable(let call, let why): "the Kubernetes API gives no answer to \(call): \(why)"
        case .malformed(let call, let what): "the answer to \(call) is not the Kubernetes API's: \(what)"
        case .settings(let text): text
        }
    }

    private static func mend(_ code: Int) -> String {
        switch code {
        case 401:
            "; the token or certificate is not accepted: see that the service account exists, or renew the kubeconfig"
        case 403: "; apply the ClusterRole of Deploy/kubernetes and its binding"
        default: ""
        }
    }
}
