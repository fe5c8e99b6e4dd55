import Testing
import VXCNI
import VXNetlink
import VXWire

@Suite struct AttachmentResultTests {
    /// As the reference plugin `bridge` 1.1.1 printed it, from 1.0.0 on and before.
    private func printed(_ version: String, ip4: String = "", ip6: String = "") -> String {
        """
        {"cniVersion":"\(version)","interfaces":[{"name":"cni0","mac":"2a:ac:98:4c:6b:55"},
         {"name":"vethf358ae61","mac":"6e:b4:4f:7c:29:d0"},
         {"name":"eth0","mac":"ce:f1:45:6a:b7:c6","sandbox":"/run/netns/p"}],
         "ips":[{\(ip4)"interface":2,"address":"10.244.3.2/24","gateway":"10.244.3.1"},
         {\(ip6)"interface":2,"address":"fd00:3::2/64","gateway":"fd00:3::1"}],
         "routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00::/16"},{"dst":"0.0.0.0/0","gw":"10.244.3.1"},
         {"dst":"::/0","gw":"fd00:3::1"}],"dns":{}}
        """
    }

    private func json(_ text: String) throws -> JSON { try #require(JSON(parsing: Array(text.utf8))) }

    @Test func everyVersionIsWrittenAsTheReferencePluginsDo() throws {
        let result = try AttachmentResult(json(printed("1.0.0")), of: "x")
        #expect(try result.json(.v1_0_0) == json(printed("1.0.0")))
        for version in [CNIVersion.v0_3_1, .v0_4_0] {
            let old = try json(printed(version.rawValue, ip4: #""version":"4","#, ip6: #""version":"6","#))
            #expect(result.json(version) == old)
            #expect(try AttachmentResult(old, of: "x") == result)
        }
        #expect(try result.json(.v1_1_0) == json(printed("1.1.0")))
    }

    @Test func anMTUIsToldFrom1_1_0On() throws {
        var result = try AttachmentResult(json(printed("1.0.0")), of: "x")
        result.interfaces[0].mtu = 1450
        #expect(result.json(.v1_1_0)["interfaces"]?.list?[0]["mtu"] == .integer(1450))
        #expect(result.json(.v1_0_0)["interfaces"]?.list?[0]["mtu"] == nil)
    }

    @Test func anAddressOfAnInterfaceThatIsNotThereIsRefused() throws {
        let text = printed("1.0.0").replacing(#""interface":2"#, with: #""interface":3"#)
        let value = try json(text)
        #expect(throws: CNIError.self) { try AttachmentResult(value, of: "x") }
    }

    // MARK: - CHECK

    private func observation() throws -> AttachmentCheck.Observation {
        func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
        let v4 = try #require(IPAddress("10.244.3.1"))
        let v6 = try #require(IPAddress("fd00:3::1"))
        return AttachmentCheck.Observation(
            mac: MACAddress("ce:f1:45:6a:b7:c6"),
            isUp: true,
            addresses: [try prefix("10.244.3.2/24"), try prefix("fd00:3::2/64"), try prefix("fe80::1/64")],
            routes: [
                DeviceRoute(to: try prefix("10.244.0.0/16"), via: v4),
                DeviceRoute(to: try prefix("fd00::/16"), via: v6),
                DeviceRoute(to: try prefix("0.0.0.0/0"), via: v4), DeviceRoute(to: try prefix("::/0"), via: v6),
            ],
            outside: "veth1",
            isInBridge: true,
            bridgeAddresses: [try prefix("10.244.3.1/24"), try prefix("fd00:3::1/64")],
            nodeRoutes: []
        )
    }

    private func differences(
        mode: PluginConfiguration.Mode = .bridge,
        _ change: (inout AttachmentCheck.Observation) -> Void
    ) throws -> [String] {
        var found = try observation()
        change(&found)
        return AttachmentCheck.differences(
            try AttachmentResult(json(printed("1.0.0")), of: "x"),
            try Attachment(containerID: "a", interface: "eth0"),
            namespace: "/run/netns/p",
            mode: mode,
            bridge: "cni0",
            found
        )
    }

    @Test func whatIsAsItWasPasses() throws {
        #expect(try differences { _ in }.isEmpty)
        // More than ADD made is another plugin's.
        #expect(try differences { $0.routes.append($0.routes[0]) }.isEmpty)
    }

    @Test func everyChangeIsTold() throws {
        let changes: [(inout AttachmentCheck.Observation) -> Void] = [
            { $0.isUp = nil }, { $0.isUp = false }, { $0.mac = nil }, { $0.mac = MACAddress(1) },
            { $0.addresses.removeFirst() }, { $0.addresses.remove(at: 1) }, { $0.routes.removeFirst() },
            { $0.routes.removeLast() }, { $0.outside = nil }, { $0.isInBridge = false },
            { $0.bridgeAddresses.removeFirst() },
        ]
        for (number, change) in changes.enumerated() {
            #expect(try differences(change).count == 1, "change \(number)")
        }
        // A route by another gateway is another route.
        #expect(try differences { $0.routes[2] = DeviceRoute(to: $0.routes[2].destination) }.count == 1)
        // Routed pods have a route each instead.
        #expect(try differences(mode: .routed) { _ in }.count == 2)
        #expect(try differences(mode: .routed) { $0.nodeRoutes = Array($0.addresses.prefix(2)) }.isEmpty)
    }
}
