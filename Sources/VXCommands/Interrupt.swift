import Dispatch
import Glibc
import UnixSignals

/// Ctrl-C, and a polite request to end, as a call instead of death, until the task is cancelled.
func onInterrupt(_ act: @escaping @Sendable () -> Void) -> Task<Void, Never> {
    Task {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        for await _ in signals { return act() }
    }
}

/// Runs `body` on another thread at Ctrl-C, SIGTERM and a closed terminal, with the signal's number, while the result is kept.
func onEndBySignal(_ body: @escaping @Sendable (Int32) -> Void) -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM, SIGHUP].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { body(number) }
        source.resume()
        return source
    }
}
