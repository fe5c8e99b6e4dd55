import ArgumentParser
import Foundation
import VXCrypto
import VXLinux

struct GenerateKey: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genkey",
        abstract: "Make a private key, as base64 on stdout or in a file of mode 0600."
    )

    @Option(help: "Write to this file, which must not exist yet.")
    var output: String?

    func run() throws {
        try StaticKeyPair().withBase64 { text in
            guard let output else { return print(text) }
            try KeyOutput.write(text, to: output)
        }
    }
}

struct GeneratePresharedKey: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genpsk",
        abstract: "Make a preshared key, as base64 on stdout or in a file of mode 0600."
    )

    @Option(help: "Write to this file, which must not exist yet.")
    var output: String?

    func run() throws {
        try PresharedKey().withBase64 { text in
            guard let output else { return print(text) }
            try KeyOutput.write(text, to: output)
        }
    }
}

struct PublicKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pubkey",
        abstract: "Print the public key of the private key on stdin."
    )

    func run() throws {
        let text = (readLine(strippingNewline: true) ?? "").trimmingCharacters(in: .whitespaces)
        guard let key = StaticKeyPair(base64: text) else {
            throw CommandFailure("error: no private key on stdin; it is base64 of 32 bytes: vxseal pubkey < FILE")
        }
        print(key.publicKey)
    }
}

private enum KeyOutput {
    static func write(_ text: String, to path: String) throws {
        do throws(SystemCallError) {
            try DurableFile.createExclusively(path, bytes: Array((text + "\n").utf8), mode: 0o600)
        } catch {
            throw CommandFailure("error: \(error); an existing key is never overwritten: choose another file")
        }
    }
}
