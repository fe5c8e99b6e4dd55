import Logging
import Synchronization
import VXConfig
import VXControlSocket
import VXDataPlane
import VXLinux
import VXRuntime
import VXWire

/// The captures that run, each at a place of its own; a place is free again when its capture has ended.
final class CaptureBoard: Sendable {
    private let places = Mutex([Bool](repeating: false, count: CaptureTaps.most))
    private let logger: Logger

    /// - Parameter logger: hears of every capture, for it shows what the network is meant to hide.
    init(logger: Logger) { self.logger = logger }

    /// A free place, which is the caller's from now on; nil when there is none.
    func take() -> Int? {
        places.withLock { places in
            guard let free = places.firstIndex(of: false) else { return nil }
            places[free] = true
            return free
        }
    }

    /// Gives a place back.
    func giveBack(_ place: Int) { places.withLock { $0[place] = false } }

    func noteBegin(_ request: CaptureRequest) {
        logger.notice("a capture begins", metadata: ["packets": "\(request.summary)"])
    }

    func noteEnd(_ request: CaptureRequest, captured: UInt64, lost: UInt64) {
        logger.notice(
            "a capture has ended",
            metadata: ["packets": "\(request.summary)", "captured": "\(captured)", "lost": "\(lost)"]
        )
    }
}

extension Backend {
    func capture(_ request: CaptureRequest) async throws(AdminRefusal) -> CaptureStream {
        let compiler = CaptureCompiler(request: request, roster: roster, board: runtime.board)
        let filter = try compiler.filter()
        guard let place = captures.take() else {
            throw AdminRefusal("\(CaptureTaps.most) captures run already, and no more may; end one of them first")
        }
        let capture = RunningCapture(
            compiler: compiler,
            place: place,
            board: captures,
            runtime: runtime,
            listen: roster.current.configuration.sealedEndpoints
        )
        await capture.start(filter)
        return CaptureStream { write in try await capture.run(write) }
    }
}

/// Makes of what a person asked for what the lanes look at.
struct CaptureCompiler: Sendable {
    let request: CaptureRequest
    let roster: RosterBoard
    let board: StatusBoard

    /// The filter as of now.
    /// - Throws: when it names what is not there, or is none.
    func filter() throws(AdminRefusal) -> CaptureFilter {
        let roster = roster.current
        var filter = CaptureFilter()
        filter.inner = request.wantsInner
        filter.outer = request.wantsOuter
        guard filter.inner || filter.outer else {
            throw AdminRefusal("neither inner frames nor outer datagrams are asked for; name one of them")
        }
        if let name = request.peer {
            guard let index = roster.index(of: name) else {
                throw AdminRefusal("no peer has the name \(name); see them with: vxseal peers")
            }
            filter.peer = index
            filter.peerEndpoint = board[index]?.endpoint ?? roster[index]?.configuration.endpoint
        }
        if let number = request.vni {
            guard let network = roster.configuration.networks.first(where: { $0.vni.rawValue == number }) else {
                throw AdminRefusal("no network has VNI \(number); see them with: vxseal status")
            }
            filter.vni = network.vni
        }
        if let text = request.direction {
            guard ["in", "out"].contains(text) else {
                throw AdminRefusal("`\(text)` is no direction; it is in, from peers, or out, to peers")
            }
            filter.isSent = text == "out"
        }
        if let text = request.mac {
            guard let mac = MACAddress(text) else {
                throw AdminRefusal("`\(text)` is no MAC address; write it as 02:00:00:00:00:07")
            }
            filter.mac = mac
        }
        if let text = request.ip {
            guard let address = IPAddress(text) else {
                throw AdminRefusal("`\(text)` is no IP address; write it as 10.98.0.7 or fd98::7")
            }
            filter.address = address
        }
        filter.port = request.port
        switch request.drops {
        case nil, "excluded": filter.drops = .excluded
        case "included": filter.drops = .included
        case "only": filter.drops = .only
        case .some(let text): throw AdminRefusal("`\(text)` is not excluded, included or only")
        }
        if let snap = request.snap {
            guard snap > 0 else { throw AdminRefusal("a snap length of \(snap) bytes keeps nothing; name at least 1") }
            filter.snap = min(snap, filter.snap)
        }
        return filter
    }
}
