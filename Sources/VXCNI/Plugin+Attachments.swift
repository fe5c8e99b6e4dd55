import VXLinux

// The commands about one interface of one container.
extension Plugin {
    private func attachment() throws(CNIError) -> (Attachment, namespace: String) {
        guard let attachment = request.attachment else {
            throw CNIError(.invalidEnvironment, "CNI_CONTAINERID and CNI_IFNAME are missing")
        }
        return (attachment, request.namespace ?? "")
    }

    /// ADD. What was made before an error is taken away again.
    func add() throws(CNIError) -> AttachmentResult {
        let (attachment, namespace) = try attachment()
        try configuration.refuseUnsupported()
        if configuration.previous != nil {
            throw CNIError(
                .invalidConfiguration,
                "vxseal-cni is not the first plugin of the list",
                "take prevResult away"
            )
        }
        let subnet = try subnet(missing: .tryLater)
        let addressRequest = AddressRequest.configuration(configuration, subnet: subnet)
        let plugin = try addressPlugin(addressRequest)
        let pod = try PodNetwork(namespace: namespace)
        try pod.refuseTaken(attachment)
        let output = try plugin.run(.add, attachment, addressRequest)
        do throws(CNIError) {
            guard let told = JSON(parsing: output) else {
                throw CNIError(.addressPlugin, "the address plugin \(plugin.name) wrote no JSON")
            }
            let plan = try AttachmentPlan(
                configuration,
                attachment,
                subnet: subnet,
                answer: AttachmentResult(told, of: plugin.name)
            )
            do throws(SystemCallError) {
                try store.save(AttachmentStore.Record(attachment: attachment, request: addressRequest))
            } catch { throw CNIError(error, "the attachment can't be recorded in \(configuration.dataDirectory)") }
            if configuration.masquerades ?? !subnet.isMasqueraded {
                try Masquerade.apply(MasqueradeScript.text(network: configuration.name, subnet: subnet), environment)
            }
            return try pod.attach(plan, namespace: namespace)
        } catch {
            // The first error is the one to tell of; DEL will come, and does this again.
            try? PodNetwork.detach(attachment, namespace: nil)
            _ = try? plugin.run(.delete, attachment, addressRequest)
            try? store.remove(attachment)
            throw error
        }
    }

    /// DEL. Whatever is gone already is no error.
    func delete() throws(CNIError) {
        let (attachment, namespace) = try attachment()
        try remove(attachment, namespace: namespace.isEmpty ? nil : namespace)
    }

    /// Devices first: an address that is given out anew has no old owner then.
    func remove(_ attachment: Attachment, namespace: String?) throws(CNIError) {
        try PodNetwork.detach(attachment, namespace: namespace)
        let addressRequest = store.record(of: attachment)?.request ?? currentAddressRequest
        _ = try addressPlugin(addressRequest).run(.delete, attachment, addressRequest)
        do throws(SystemCallError) { try store.remove(attachment) } catch {
            throw CNIError(error, "the record of container \(attachment.containerID) can't be removed")
        }
    }

    /// What ADD would give the address plugin now, or as good as that where the agent is down.
    var currentAddressRequest: [String: JSON] {
        if let subnet = try? subnet(missing: .tryLater) {
            AddressRequest.configuration(configuration, subnet: subnet)
        } else {
            AddressRequest.configurationWithoutSubnet(configuration)
        }
    }

    /// CHECK.
    func check() throws(CNIError) {
        let (attachment, namespace) = try attachment()
        try configuration.refuseUnsupported()
        guard let previous = configuration.previous else {
            throw CNIError(.invalidConfiguration, "prevResult is missing", "CHECK compares with it")
        }
        let expected = try AttachmentResult(previous, of: "prevResult")
        let addressRequest = store.record(of: attachment)?.request ?? currentAddressRequest
        var withPrevious = addressRequest
        withPrevious["prevResult"] = previous
        _ = try addressPlugin(addressRequest).run(.check, attachment, withPrevious)
        let differences = AttachmentCheck.differences(
            expected,
            attachment,
            namespace: namespace,
            mode: configuration.mode,
            bridge: configuration.bridge,
            try PodNetwork(namespace: namespace).observe(
                attachment,
                bridge: configuration.mode == .bridge ? configuration.bridge : nil
            )
        )
        if !differences.isEmpty {
            throw CNIError(
                .changed,
                "the network of container \(attachment.containerID) has changed",
                differences.joined(separator: "; ")
            )
        }
    }
}
