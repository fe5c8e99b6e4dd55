import UnixSignals

/// Ctrl-C, and a polite request to end, as a call instead of death, until the task is cancelled.
func onInterrupt(_ act: @escaping @Sendable () -> Void) -> Task<Void, Never> {
    Task {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        for await _ in signals { return act() }
    }
}
