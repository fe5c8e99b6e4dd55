import CVXLinux

/// The eBPF program that picks a TAP queue by flow. It is loaded once, for which a process may need a right that it has only at
/// its start, and given to every device that is made then or later.
public final class FlowSteering: Sendable {
    /// This process's; loaded by whoever asks first.
    public static let program = FlowSteering()

    fileprivate let descriptor: FileDescriptor

    private init() { descriptor = FileDescriptor(owning: vx_load_flow_steering()) }
}

extension TAPDevice {
    /// Has the kernel pick the queue of a frame by its flow: a flow stays on one lane, and with it in order. Concerns all
    /// queues of the device.
    /// - Returns: false where bpf(2) is not permitted, as in most user namespaces: the kernel then follows the queue that a
    ///   flow's answers were written to, which may move it.
    public func steerFlows(by program: FlowSteering = .program) -> Bool {
        program.descriptor.rawValue >= 0 && vx_tun_steer_flows(descriptor.rawValue, program.descriptor.rawValue) == 0
    }
}
