import Testing
import VXConfig
import VXWire

@testable import VXControl

/// flannel's formats, held against what a real flannel wrote.
@Suite struct FlannelFormatTests {
    @Test(arguments: FlannelRecording.all)
    func leasesAreReadAndWrittenByteForByte(run: FlannelRecording.Run) throws {
        #expect(run.leases.count == 2)
        for (id, value) in run.leases {
            let key = try #require(LeaseKey(id))
            #expect(key.description == id)
            let attributes = try LeaseAttributes(parsing: value)
            #expect(attributes.json == value)
            #expect(attributes.backend != nil)
            #expect((attributes.backendV6 != nil) == (key.subnetV6 != nil))
        }
    }

    @Test(arguments: FlannelRecording.all)
    func everyRecordedSubnetIsOneOfThePool(run: FlannelRecording.Run) throws {
        let configuration = try FlannelNetworkConfiguration(parsing: run.config)
        for (id, value) in run.leases {
            let key = try #require(LeaseKey(id))
            let v4 = try #require(configuration.pool.v4)
            #expect(key.subnet.length == v4.length)
            #expect(v4.first.isAtMost(key.subnet.address) && key.subnet.address.isAtMost(v4.last))
            #expect((configuration.pool.v6 != nil) == (key.subnetV6 != nil))
            if let v6 = configuration.pool.v6 { #expect(key.subnetV6?.length == v6.length) }
            #expect(try LeaseAttributes(parsing: value).backend?.vni == Int(configuration.backend.vni.rawValue))
        }
    }

    @Test(arguments: [
        "", "10.5.52.0", "10.5.52.0-33", "10.5.52.1-24", "10.5.52.0-24&", "10.5.52.0-24&10.6.0.0-16", "fd00::-64",
        "10.5.52.0/24-24", "10.5.52.0-24&fd00::-64&fd01::-64", "10.5.52.0--24", "10.5.52.٠-24",
    ])
    func anythingElseIsNoKey(text: String) { #expect(LeaseKey(text) == nil) }

    @Test(arguments: [
        ("[]", "no JSON object"), ("{\"PublicIP\":7}", "PublicIP is no text"),
        ("{\"PublicIP\":\"1.2.3\"}", "PublicIP is no IPv4 address"),
        ("{\"PublicIP\":\"192.0.2.1\",\"BackendData\":[]}", "BackendData is no object"),
        (
            "{\"PublicIP\":\"192.0.2.1\",\"BackendData\":{\"VNI\":1,\"VtepMAC\":\"01:00:5e:00:00:01\"}}",
            "BackendData.VtepMAC is no address of a station"
        ),
        (
            "{\"PublicIP\":\"192.0.2.1\",\"BackendData\":{\"VNI\":\"1\",\"VtepMAC\":\"02:00:5e:00:00:01\"}}",
            "BackendData.VNI is no number"
        ),
    ])
    func whatIsWrongNamesTheField(text: String, problem: String) {
        #expect(throws: LeaseAttributes.Failure(description: problem)) { try LeaseAttributes(parsing: text) }
    }

    @Test func aValueOfTenMegabytesIsRefused() {
        let text = "{\"PublicIP\":\"192.0.2.1\",\"x\":\"" + String(repeating: "x", count: 10 << 20) + "\"}"
        #expect(throws: LeaseAttributes.Failure.self) { try LeaseAttributes(parsing: text) }
    }

    // MARK: - net-conf.json

    @Test func defaultsAreFlannels() throws {
        let configuration = try FlannelNetworkConfiguration(
            parsing: #"{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}"#
        )
        let v4 = try #require(configuration.pool.v4)
        #expect(v4.length == 24 && v4.first.description == "10.244.1.0" && v4.last.description == "10.244.255.0")
        #expect(configuration.pool.v6 == nil)
        #expect(configuration.backend == FlannelNetworkConfiguration.Backend())
        #expect(configuration.backend.port == 8472 && configuration.backend.vni.rawValue == 1)
    }

    @Test(arguments: [
        (#""Network": "10.0.0.0/23""#, 25, "10.0.0.128", "10.0.1.128"),
        (#""Network": "10.0.0.0/28""#, 30, "10.0.0.4", "10.0.0.12"),
        (#""Network": "10.0.7.9/22""#, 24, "10.0.5.0", "10.0.7.0"),
        (
            #""network": "10.5.0.0/16", "SUBNETLEN": 26, "subnetmin": "10.5.10.0", "SubnetMax": "10.5.99.0""#, 26,
            "10.5.10.0", "10.5.99.0"
        ),
        (#""Network": "0.0.0.0/0", "SubnetLen": 0"#, 24, "0.0.1.0", "255.255.255.0"),
    ])
    func sharesOfIPv4(text: String, length: Int, first: String, last: String) throws {
        let v4 = try FlannelNetworkConfiguration(parsing: "{\(text), \"Backend\": {\"Type\": \"vxlan\"}}").pool.v4
        #expect(v4?.length == length)
        #expect(v4?.first.description == first)
        #expect(v4?.last.description == last)
    }

    @Test(arguments: [
        ("fd00:42::/48", 64, "fd00:42:0:1::", "fd00:42:0:ffff::"),
        ("fd00::/63", 65, "fd00::8000:0:0:0", "fd00:0:0:1:8000::"),
        ("fd00::/124", 126, "fd00::4", "fd00::c"),
    ])
    func sharesOfIPv6(network: String, length: Int, first: String, last: String) throws {
        let v6 = try FlannelNetworkConfiguration(
            parsing:
                "{\"EnableIPv4\": false, \"EnableIPv6\": true, \"IPv6Network\": \"\(network)\", \"Backend\": {\"Type\": \"vxlan\"}}"
        ).pool.v6
        #expect(v6?.length == length)
        #expect(v6?.first.description == first)
        #expect(v6?.last.description == last)
    }

    @Test func allProblemsAreNamedAtOnce() {
        let text = """
            {"Network": "10.0.0.0/29", "EnableIPv6": "yes", "SubnetMin": 5,
             "Backend": {"Type": "host-gw", "VNI": 16777216, "Port": "8472", "Seal": "maybe", "GBP": true}}
            """
        do {
            _ = try FlannelNetworkConfiguration(parsing: text)
            Issue.record("it was read")
        } catch {
            let named = error.problems.map { String($0.prefix { $0 != " " }) }
            #expect(
                named.sorted() == [
                    "Backend.GBP", "Backend.Port", "Backend.Seal", "Backend.Type", "Backend.VNI", "EnableIPv6",
                    "Network",
                    "SubnetMin",
                ]
            )
        }
    }

    @Test(arguments: [
        (#"{"Network": "10.0.0.0/16", "SubnetLen": 17, "Backend": {"Type": "vxlan"}}"#, "SubnetLen"),
        (#"{"Network": "10.0.0.0/16", "SubnetMin": "10.0.5.1", "Backend": {"Type": "vxlan"}}"#, "SubnetMin"),
        (#"{"Network": "10.0.0.0/16", "SubnetMax": "10.1.5.0", "Backend": {"Type": "vxlan"}}"#, "SubnetMax"),
        (
            #"{"Network": "10.0.0.0/16", "SubnetMin": "10.0.9.0", "SubnetMax": "10.0.8.0", "Backend": {"Type": "vxlan"}}"#,
            "SubnetMin"
        ),
        (#"{"Network": "10.0.0.0/16"}"#, "Backend"),
        (#"{"Network": "fd00::/48", "Backend": {"Type": "vxlan"}}"#, "Network"),
        (#"{"EnableIPv4": false, "Backend": {"Type": "vxlan"}}"#, "EnableIPv4"),
        (#"{"Network": "10.0.0.0/16", "Backend": {"Type": "vxseal", "Seal": "prefer"}}"#, "Backend.Seal"),
    ])
    func eachBound(text: String, field: String) {
        #expect { try FlannelNetworkConfiguration(parsing: text) } throws: { error in
            (error as? FlannelNetworkConfiguration.Failure)?.problems.count == 1
                && (error as? FlannelNetworkConfiguration.Failure)?.problems.first?.hasPrefix(field + " ") == true
        }
    }

    @Test func unknownFieldsAreNotedAndTolerated() throws {
        let configuration = try FlannelNetworkConfiguration(
            parsing:
                #"{"Network": "10.0.0.0/16", "Netwrok": 1, "Backend": {"Type": "vxlan", "Vni": 9, "Mtu": 1400, "x": {}}}"#
        )
        #expect(configuration.unknownFields == ["Netwrok", "Backend.x"])
        #expect(configuration.backend.vni.rawValue == 9 && configuration.backend.mtu == 1400)
    }

    @Test func sealIsReadAndTheStricterIsTheGreater() throws {
        let configuration = try FlannelNetworkConfiguration(
            parsing: #"{"Network": "10.0.0.0/16", "Backend": {"Type": "vxlan", "seal": "prefer"}}"#
        )
        #expect(configuration.backend.seal == .prefer)
        #expect(max(SealPolicy.off, .prefer) == .prefer && max(SealPolicy.require, .prefer) == .require)
    }

    // MARK: - Shares

    @Test func sharesAndNumbersAreInverse() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let isV6 = Bool.random(using: &random)
            let width = isV6 ? 128 : 32
            let length = Int.random(in: 0...width - 2, using: &random)
            let share = Int.random(in: length...min(width, length + 62), using: &random)
            let address: IPAddress =
                isV6
                ? .v6(
                    IPv6Address(
                        high: .random(in: 0 ... .max, using: &random),
                        low: .random(in: 0 ... .max, using: &random)
                    )
                )
                : .v4(IPv4Address(.random(in: 0 ... .max, using: &random)))
            guard let network = IPPrefix(address: address, length: length)?.network else { continue }
            let last = (UInt64(1) << UInt64(share - length)) - 1
            let number = UInt64.random(in: 0...last, using: &random)
            guard let found = network.share(number, length: share) else {
                Issue.record("\(network) has no share \(number) of length \(share)")
                continue
            }
            #expect(network.contains(found))
            #expect(IPPrefix(address: found, length: share)?.network.address == found)
            #expect(network.number(ofShareWith: found, length: share) == number)
            #expect(network.share(last &+ 1, length: share) == nil)
            if let end = network.lastShare(length: share) { #expect(found.isAtMost(end)) }
        }
    }
}
