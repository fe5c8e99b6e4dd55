import VXConfig
import VXControlSocket
import VXCrypto
import VXDataPlane
import VXHandshake
import VXLinux
import VXRuntime
import VXWire

// The admin API's rotations: the wish goes to the handshake thread, the ledger keeps what it costs.
extension Backend {
    func rotationStatus() async -> RotationReply {
        let snapshot = await runtime.rotationSnapshot()
        let page = ledger.current
        let roster = roster.current
        var reply = RotationReply(
            publicKey: snapshot.publicKey.base64,
            open: snapshot.rotation.map {
                RotationReply.Open(oldKey: $0.oldKey.base64, newKey: $0.newKey.base64, endsAt: $0.endsAt)
            },
            peers: snapshot.peers.map { peer in
                let name = roster.name(of: peer.index)
                return RotationReply.Peer(
                    name: name,
                    publicKey: peer.key.base64,
                    pendingKey: peer.pendingKey?.base64,
                    progress: peer.progress?.rawValue,
                    isContested: peer.isContested,
                    mend: peer.isContested ? RotationLog.mend(name) : nil,
                    pskGeneration: peer.generation,
                    isRotatingPSK: peer.isRotatingPSK,
                    measured: page?.peers[peer.index].map { measure($0, peer: peer.index, of: roster) }
                )
            }
        )
        reply.measuredKind = page?.kind.rawValue
        reply.measuredOldKey = page?.oldKey?.base64
        return reply
    }

    private func measure(_ mark: RotationLedger.Mark, peer: PeerIndex, of roster: Roster) -> RotationReply.Measured {
        let entry = runtime.board[peer]
        let losses = entry?.losses ?? StatusBoard.Losses()
        let before = mark.losses.received + mark.losses.sent
        let after = losses.received + losses.sent
        return RotationReply.Measured(
            isFinished: mark.finishedAt != nil,
            isSettled: mark.finishedAt != nil && entry?.isSettled ?? false,
            seconds: (mark.finishedAt ?? Clocks.bootTime()).since(mark.startedAt).seconds,
            sentFrames: roster.sentFrames(to: peer) - mark.sentFrames,
            lost: after > before ? after - before : 0
        )
    }

    private func begin(_ kind: RotationLedger.Kind, _ peers: [PeerIndex], old: PublicKey?) {
        let roster = roster.current
        ledger.begin(
            kind,
            oldKey: old,
            peers: peers.map { index in
                let losses = runtime.board[index]?.losses ?? StatusBoard.Losses()
                return (index, roster.sentFrames(to: index), losses)
            }
        )
    }

    private var sealedPeers: [(index: PeerIndex, configuration: PeerConfiguration)] {
        roster.current.orderedPeers.filter { $0.configuration.sealed != nil }
    }

    private func sealedPeer(_ name: String) throws(AdminRefusal) -> PeerIndex {
        guard let found = sealedPeers.first(where: { $0.configuration.name == name }) else {
            throw AdminRefusal("no sealed peer is called \(name); see them with: vxseal peers")
        }
        return found.index
    }

    private func check(_ outcome: RotationOutcome) throws(AdminRefusal) {
        if case .refused(let why) = outcome { throw AdminRefusal("\(why); see: vxseal rotate status") }
    }

    func rotateIdentity(overlapSeconds: UInt64) async throws(AdminRefusal) -> RotationReply {
        let before = await runtime.rotationSnapshot()
        // The page is opened first, or a quick peer would finish before it.
        if before.rotation == nil { begin(.identity, sealedPeers.map(\.index), old: before.publicKey) }
        try check(await runtime.rotateIdentity(overlap: .seconds(overlapSeconds)))
        return await rotationStatus()
    }

    func rotatePSK(peer name: String) async throws(AdminRefusal) -> RotationReply {
        let peer = try sealedPeer(name)
        begin(.psk, [peer], old: nil)
        try check(await runtime.rotatePSK(with: peer))
        return await rotationStatus()
    }

    func acceptKey(_ text: String, peer name: String) async throws(AdminRefusal) -> RotationReply {
        let peer = try sealedPeer(name)
        guard let key = PublicKey(base64: text) else {
            throw AdminRefusal("the key is no key; it is what `vxseal status` shows on that node: 44 characters")
        }
        try check(await runtime.accept(key, of: peer))
        return await rotationStatus()
    }

    func forgetPeer(_ name: String) async throws(AdminRefusal) -> RotationReply {
        try check(await runtime.forget(try sealedPeer(name)))
        return await rotationStatus()
    }
}
