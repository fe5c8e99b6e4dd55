import ServiceLifecycle

/// Waits for so long, between two turns of a service.
/// - Returns: false at once when the daemon ends.
func pause(_ time: Duration) async -> Bool {
    await cancelWhenGracefulShutdown { (try? await Task.sleep(for: time)) != nil }
}
