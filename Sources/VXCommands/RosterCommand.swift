import ArgumentParser
import Foundation
import VXControl
import VXCrypto
import VXLinux

struct RosterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roster",
        abstract: "Sign, away from the cluster, which nodes belong to it (`trust: roster`).",
        subcommands: [RosterGenerateKey.self, RosterPublicKey.self, RosterSign.self, RosterVerify.self]
    )
}

struct RosterGenerateKey: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genkey",
        abstract: "Make the operator's key in a file of mode 0600, and print its public half: rosterKey."
    )

    @Option(help: "Write to this file, which must not exist yet.")
    var output: String

    func run() throws {
        let key = SigningKeyPair()
        do {
            try key.withBase64 {
                try DurableFile.createExclusively(output, bytes: Array(($0 + "\n").utf8), mode: 0o600)
            }
        } catch {
            throw CommandFailure("error: \(error); an existing key is never overwritten: choose another file")
        }
        print(key.publicKey)
    }
}

struct RosterPublicKey: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pubkey",
        abstract:
            "Print the public half of a signing key: the operator's, or a node's signing.key in its stateDirectory."
    )

    @Argument(help: "The key's file.")
    var keyFile: String

    func run() throws { print(try SigningKeyPair(file: keyFile).publicKey) }
}

struct RosterSign: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign",
        abstract: "Sign a roster, on standard output.",
        discussion: """
            The roster is text: `sequence N`, higher each time, then a line `NAME KEY` for each node, where KEY is what \
            `vxseal roster pubkey STATEDIRECTORY/signing.key` prints on it.
            """
    )

    @Option(help: "The operator's key.")
    var key: String

    @Argument(help: "The roster; one that was signed before may be signed again.")
    var roster: String

    func run() throws {
        let signer = try SigningKeyPair(file: key)
        let lines = try text(of: roster).split(separator: "\n").filter {
            !$0.hasPrefix("signature ") && !$0.hasPrefix("#")
        }
        do {
            let roster = try SignedRoster(unsigned: lines.joined(separator: "\n"))
            print(roster.signed(by: signer), terminator: "")
        } catch {
            throw CommandFailure("error: \(roster): \(error)")
        }
    }
}

struct RosterVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a signed roster's signature, and tell what it holds."
    )

    @Option(help: "The operator's public key: rosterKey.")
    var key: String

    @Argument(help: "The signed roster.")
    var roster: String

    func run() throws {
        guard let key = SigningKey(base64: key) else {
            throw CommandFailure("error: --key is no public key; it is what `vxseal roster genkey` printed", code: 2)
        }
        do {
            let signed = try SignedRoster(try text(of: roster), key: key)
            print("good signature: sequence \(signed.sequence), \(signed.signers.count) nodes")
        } catch let failure as SignedRoster.Failure {
            throw CommandFailure("error: \(roster): \(failure)")
        }
    }
}

private func text(of path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
        throw CommandFailure("error: \(path) cannot be read; check the path and its mode")
    }
    return String(decoding: data, as: UTF8.self)
}

extension SigningKeyPair {
    /// From a file that a command has written.
    fileprivate convenience init(file path: String) throws {
        let contents = try text(of: path).trimmingCharacters(in: .whitespacesAndNewlines)
        guard SigningKeyPair(base64: contents) != nil else {
            throw CommandFailure("error: \(path) holds no signing key; make one with: vxseal roster genkey")
        }
        self.init(base64: contents)!
    }
}
