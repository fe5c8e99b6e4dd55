// The commands about the network as a whole.
extension Plugin {
    /// STATUS: whether ADD would have what it needs.
    func status() throws(CNIError) {
        try configuration.refuseUnsupported()
        let addressRequest = AddressRequest.configuration(configuration, subnet: try subnet(missing: .notAvailable))
        let plugin: AddressPlugin
        do { plugin = try addressPlugin(addressRequest) } catch {
            throw CNIError(.notAvailable, error.message, error.details)
        }
        if try plugin.versions(addressRequest).contains(.v1_1_0) {
            _ = try plugin.run(.status, nil, addressRequest)
        }
    }

    /// GC: removes what belongs to no attachment of the runtime's list. Goes on after an error, and tells of the first.
    func collect() throws(CNIError) {
        guard let valid = configuration.validAttachments else {
            throw CNIError(
                .invalidConfiguration,
                "cni.dev/valid-attachments is missing",
                "without the list nothing is collected: everything would be"
            )
        }
        if configuration.object["disableGC"]?.flag == true { return }
        var known: Set<Attachment>
        do { known = Set(try store.attachments()) } catch {
            throw CNIError(error, "the records in \(configuration.dataDirectory) can't be listed")
        }
        known.formUnion(try PodNetwork.attachments(of: configuration.name))
        var first: CNIError?
        for stale in known.subtracting(valid) {
            do { try remove(stale, namespace: nil) } catch { first = first ?? error }
        }
        // For what it alone knows of. One that is older has nothing to collect with.
        let addressRequest = currentAddressRequest
        do throws(CNIError) {
            let plugin = try addressPlugin(addressRequest)
            if try plugin.versions(addressRequest).contains(.v1_1_0) {
                _ = try plugin.run(.collect, nil, addressRequest)
            }
        } catch { first = first ?? error }
        if let first { throw first }
    }
}
