import Testing
import VXCNI
import VXNetlink
import VXWire

@Suite struct AttachmentPlanTests {
    static let dual = """
        FLANNEL_NETWORK=10.244.0.0/16
        FLANNEL_SUBNET=10.244.3.1/24
        FLANNEL_IPV6_NETWORK=fd00:244::/48
        FLANNEL_IPV6_SUBNET=fd00:244:0:3::1/64
        FLANNEL_MTU=1450
        FLANNEL_IPMASQ=true

        """

    private func configuration(_ members: String = "") throws -> PluginConfiguration {
        let text = #"{"cniVersion":"1.1.0","name":"n","type":"vxseal-cni"\#(members)}"#
        return try PluginConfiguration(PluginConfiguration.object(from: Array(text.utf8)))
    }

    private func plan(_ members: String = "", answer: String) throws -> AttachmentPlan {
        let json = try #require(JSON(parsing: Array(answer.utf8)))
        return try AttachmentPlan(
            configuration(members),
            Attachment(containerID: "a", interface: "eth0"),
            subnet: SubnetEnvironment(Self.dual, file: "f"),
            answer: AttachmentResult(json, of: "host-local")
        )
    }

    /// What host-local 1.1.1 answers to the configuration of `AddressRequest`.
    private let answer = """
        {"cniVersion":"1.0.0","ips":[{"address":"10.244.3.4/24","gateway":"10.244.3.1"},
         {"address":"fd00:244:0:3::4/64","gateway":"fd00:244:0:3::1"}],
         "routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00:244::/48"}],"dns":{}}
        """

    private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    @Test func bridgedPodsHaveTheNodesAddressAsGateway() throws {
        let plan = try plan(answer: answer)
        #expect(plan.mtu == 1450 && plan.isHairpin && plan.nextHops.isEmpty)
        #expect(try plan.addresses == [prefix("10.244.3.4/24"), prefix("fd00:244:0:3::4/64")])
        #expect(try plan.bridge?.addresses == [prefix("10.244.3.1/24"), prefix("fd00:244:0:3::1/64")])
        let v4 = try address("10.244.3.1")
        let v6 = try address("fd00:244:0:3::1")
        #expect(
            try plan.routes == [
                DeviceRoute(to: prefix("10.244.0.0/16"), via: v4), DeviceRoute(to: prefix("fd00:244::/48"), via: v6),
                DeviceRoute(to: prefix("0.0.0.0/0"), via: v4), DeviceRoute(to: prefix("::/0"), via: v6),
            ]
        )
        #expect(plan.mac == MACAddress("0a:58:0a:f4:03:04"))
    }

    @Test func routedPodsHaveOneNextHopAndNoNeighbours() throws {
        let plan = try plan(#","mode":"routed""#, answer: answer)
        #expect(plan.bridge == nil)
        #expect(try plan.addresses == [prefix("10.244.3.4/32"), prefix("fd00:244:0:3::4/128")])
        #expect(try plan.nextHops == [address("169.254.1.1"), address("fe80::1")])
        #expect(try plan.routes.first == DeviceRoute(to: prefix("169.254.1.1/32")))
        #expect(try plan.routes.contains(DeviceRoute(to: prefix("::/0"), via: address("fe80::1"))))
        #expect(
            try plan.routes.dropFirst().allSatisfy {
                try [address("169.254.1.1"), address("fe80::1")].contains($0.gateway)
            }
        )
    }

    @Test func withoutADefaultGatewayTheOverlayAloneIsReached() throws {
        for mode in ["bridge", "routed"] {
            let plan = try plan(#","mode":"\#(mode)","isDefaultGateway":false"#, answer: answer)
            #expect(plan.resultRoutes.map { "\($0.destination)" } == ["10.244.0.0/16", "fd00:244::/48"])
        }
    }

    @Test func anAddressPluginsDefaultRouteIsNotDoubled() throws {
        let told =
            #"{"ips":[{"address":"10.0.0.9/24","gateway":"10.0.0.254"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.0.0.7"}]}"#
        let plan = try plan(answer: told)
        #expect(plan.routes == [DeviceRoute(to: try prefix("0.0.0.0/0"), via: try address("10.0.0.7"))])
        #expect(try plan.bridge?.addresses == [prefix("10.0.0.254/24")])
    }

    /// Routes of a family that the pod has no address of would be refused by the kernel.
    @Test func routesOfAnAbsentFamilyAreLeftOut() throws {
        let told = #"{"ips":[{"address":"10.244.3.9/24"}],"routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00::/16"}]}"#
        let plan = try plan(answer: told)
        #expect(plan.resultRoutes.map { "\($0.destination)" } == ["10.244.0.0/16", "0.0.0.0/0"])
        // Without a gateway of the address plugin's it is the first address.
        #expect(try plan.resultAddresses.first?.gateway == address("10.244.3.1"))
    }

    @Test func severalAddAtOnceMakeTheSameBridge() throws {
        let other = answer.replacing("10.244.3.4", with: "10.244.3.5")
        #expect(try plan(answer: answer).bridge == plan(answer: other).bridge)
        #expect(try plan(answer: answer).mac != plan(answer: other).mac)
    }

    @Test func answersOfNoUseAreRefused() throws {
        for (text, code) in [
            (#"{"ips":[]}"#, 101), (#"{"ips":[{"address":"10.0.0.300/24"}]}"#, 6),
            (#"{"ip4":{"ip":"10.0.0.1/24"}}"#, 101),
            (#"{"ips":[{"address":"10.0.0.1/24"}],"routes":[{"dst":"10.0.0.0"}]}"#, 6),
            (#"{"ips":[{"address":"10.0.0.1/24"}],"routes":[{"dst":"10.0.0.0/8","table":7}]}"#, 2),
            (#"[]"#, 6),
        ] {
            let error = #expect(throws: CNIError.self) { try plan(answer: text) }
            #expect(error?.code == code, "\(text)")
        }
        let error = #expect(throws: CNIError.self) { try plan(#","mtu":1279"#, answer: answer) }
        #expect(error?.code == 7)
    }

    @Test func devicesTellWhoseTheyAre() throws {
        let plan = try plan(answer: answer)
        #expect(AttachmentPlan.attachment(fromAlias: plan.alias, of: "n") == plan.attachment)
        #expect(AttachmentPlan.attachment(fromAlias: plan.alias, of: "other") == nil)
        #expect(AttachmentPlan.attachment(fromAlias: "vxseal-cni", of: "n") == nil)
    }

    @Test func theAddressPluginIsGivenTheNodesSubnet() throws {
        let network = try configuration(#","args":{"x":1}"#)
        let request = AddressRequest.configuration(network, subnet: try SubnetEnvironment(Self.dual, file: "f"))
        #expect(request["args"] == .object(["x": .integer(1)]) && request["name"] == .text("n"))
        let expected = """
            {"dataDir":"/var/lib/cni/vxseal/addresses","ranges":[[{"subnet":"10.244.3.0/24"}],[{"subnet":"fd00:244:0:3::/64"}]],\
            "routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00:244::/48"}],"type":"host-local"}
            """
        #expect(request["ipam"].map { String(decoding: $0.bytes, as: UTF8.self) } == expected)
        // What was given stays.
        let given = try configuration(#","ipam":{"type":"static","addresses":[]}"#)
        #expect(
            AddressRequest.configuration(given, subnet: try SubnetEnvironment(Self.dual, file: "f"))["ipam"]
                == .object(["type": .text("static"), "addresses": .list([])])
        )
    }

    // MARK: - The agent's file

    @Test func theAgentsFileIsRead() throws {
        let read = try SubnetEnvironment(Self.dual, file: "f")
        #expect(try read.networks == [prefix("10.244.0.0/16"), prefix("fd00:244::/48")])
        #expect(try read.subnets == [prefix("10.244.3.1/24"), prefix("fd00:244:0:3::1/64")])
        #expect(read.mtu == 1450 && read.isMasqueraded)
        let list = Self.dual.replacing("10.244.0.0/16", with: "10.244.0.0/16,10.250.0.0/16")
        #expect(try SubnetEnvironment(list, file: "f").networks.count == 3)
        let six = Self.dual.split(separator: "\n").filter { !$0.contains("_NETWORK=10") && !$0.contains("_SUBNET=10") }
        #expect(try SubnetEnvironment(six.joined(separator: "\n"), file: "f").subnets == [prefix("fd00:244:0:3::1/64")])
    }

    @Test(arguments: [
        ("FLANNEL_NETWORK=10.244.0.0/16", ""), ("FLANNEL_SUBNET=10.244.3.1/24", ""), ("FLANNEL_MTU=1450", ""),
        ("FLANNEL_IPMASQ=true", ""), ("10.244.3.1/24", "10.244.3.1"), ("=1450", "=many"), ("=1450", "=67"),
        ("=true", "=maybe"), ("10.244.0.0/16", "fd00::/16"), ("10.244.0.0/16", "10.244.0.0/16,"),
    ])
    func anAgentsFileThatIsNotWholeNamesItself(from: String, to: String) {
        let error = #expect(throws: CNIError.self) {
            try SubnetEnvironment(Self.dual.replacing(from, with: to), file: "/run/x.env")
        }
        #expect(error?.code == 6 && error?.message.contains("/run/x.env") == true)
    }

    @Test func whatLeavesTheOverlayIsMasqueraded() throws {
        let script = MasqueradeScript.text(network: "n", subnet: try SubnetEnvironment(Self.dual, file: "f"))
        #expect(
            script.contains(
                "ip saddr 10.244.3.0/24 ip daddr != 10.244.0.0/16 ip daddr != 10.244.3.0/24 ip daddr != 224.0.0.0/4 masquerade"
            )
        )
        #expect(script.contains("ip6 saddr fd00:244:0:3::/64 ip6 daddr != fd00:244::/48 "))
    }
}
