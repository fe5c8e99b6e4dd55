import Foundation
import VXCrypto

/// Reads key files: base64 of 32 bytes, a file of its own, readable by its owner alone.
struct KeyFile {
    /// Why a key file is refused.
    struct Refusal: Error {
        let what: String
        let mend: String
    }

    let path: String
    /// Whether others may read it.
    var mayBeLoose = false

    /// The text of the file, and whether others may read it.
    private func read() throws(Refusal) -> (text: String, isLoose: Bool) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw Refusal(
                what: "key file \(path) cannot be read",
                mend: "make one with: vxseal genkey --output \(path)"
            )
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= 4096 else {
            throw Refusal(what: "key file \(path) is no key file", mend: "name a file that `vxseal genkey` wrote")
        }
        guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8)
        else {
            // Who may by its mode and yet cannot is a daemon that reloads: landlock refuses the file, not its status.
            let isOwn = status.st_uid == geteuid() && status.st_mode & S_IRUSR != 0
            throw Refusal(
                what: "key file \(path) cannot be read",
                mend: isOwn
                    ? "the running daemon's sandbox reaches only directories that held its files when it started: restart it"
                    : "let this user own it: chown, chmod 600"
            )
        }
        return (text.trimmingCharacters(in: .whitespacesAndNewlines), status.st_mode & 0o077 != 0)
    }

    private func checkMode(_ isLoose: Bool, isExample: Bool, allowExample: Bool) throws(Refusal) {
        if isExample, !allowExample {
            throw Refusal(
                what: "key file \(path) holds an example key that everybody has",
                mend: "make your own with `vxseal genkey`, or try things out with --allow-example-keys"
            )
        }
        // A clone cannot carry mode 0600, and an example key is no secret anyway.
        if isLoose, !isExample, !mayBeLoose {
            throw Refusal(what: "key file \(path) can be read by others", mend: "mend it with: chmod 600 \(path)")
        }
    }

    func privateKey(allowExample: Bool) throws(Refusal) -> StaticKeyPair {
        let (text, isLoose) = try read()
        guard let key = StaticKeyPair(base64: text) else {
            throw Refusal(
                what: "key file \(path) holds no key",
                mend: "it must hold base64 of 32 bytes, as `vxseal genkey` writes"
            )
        }
        try checkMode(isLoose, isExample: ExampleKeys.contains(key.publicKey), allowExample: allowExample)
        return key
    }

    func presharedKey(allowExample: Bool) throws(Refusal) -> PresharedKey {
        let (text, isLoose) = try read()
        guard let key = PresharedKey(base64: text) else {
            throw Refusal(
                what: "key file \(path) holds no key",
                mend: "it must hold base64 of 32 bytes, as `vxseal genpsk` writes"
            )
        }
        try checkMode(isLoose, isExample: ExampleKeys.contains(key), allowExample: allowExample)
        return key
    }
}
