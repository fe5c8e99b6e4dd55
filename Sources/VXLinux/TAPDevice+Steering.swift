import CVXLinux

extension TAPDevice {
    /// Has the kernel pick the queue of a frame by its flow: a flow stays on one lane, and with it in order. Concerns all
    /// queues of the device.
    /// - Returns: false where bpf(2) is not permitted, as in most user namespaces: the kernel then follows the queue that a
    ///   flow's answers were written to, which may move it.
    public func steerFlows() -> Bool { vx_tun_steer_flows(descriptor.rawValue) == 0 }
}
