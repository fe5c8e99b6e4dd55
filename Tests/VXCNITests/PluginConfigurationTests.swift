import Testing
import VXCNI

@Suite struct PluginConfigurationTests {
    private func configuration(_ text: String) throws(CNIError) -> PluginConfiguration {
        try PluginConfiguration(PluginConfiguration.object(from: Array(text.utf8)))
    }

    private func code(_ text: String) -> Int? {
        do {
            _ = try configuration(text)
            return nil
        } catch { return error.code }
    }

    @Test func theLeastConfigurationHasDefaults() throws {
        let least = try configuration(#"{"cniVersion":"1.0.0","name":"vxseal","type":"vxseal-cni"}"#)
        #expect(least.version == .v1_0_0)
        #expect(least.subnetFile == "/run/flannel/subnet.env")
        #expect(least.dataDirectory == "/var/lib/cni/vxseal")
        #expect(least.mode == .bridge && least.bridge == "cni0")
        #expect(least.isHairpin && least.isDefaultGateway)
        #expect(least.masquerades == nil && least.mtu == nil && least.validAttachments == nil && least.previous == nil)
        try least.refuseUnsupported()
    }

    @Test func everyFieldIsRead() throws {
        let all = try configuration(
            """
            {"cniVersion":"1.1.0","name":"n","type":"vxseal-cni","subnetFile":"/a","dataDir":"/b","mode":"routed",
             "bridge":"br1","hairpinMode":false,"isDefaultGateway":false,"ipMasq":true,"mtu":1400,"ipam":{"type":"static"},
             "dns":{"nameservers":["10.0.0.1"]},"prevResult":{"ips":[]},"args":{},"capabilities":{},"runtimeConfig":{},
             "cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]}
            """
        )
        #expect(all.subnetFile == "/a" && all.dataDirectory == "/b" && all.mode == .routed && all.bridge == "br1")
        #expect(!all.isHairpin && !all.isDefaultGateway && all.masquerades == true && all.mtu == 1400)
        #expect(all.ipam == ["type": .text("static")] && all.previous != nil)
        #expect(all.dns == .object(["nameservers": .list([.text("10.0.0.1")])]))
        #expect(try all.validAttachments == [Attachment(containerID: "a", interface: "eth0")])
        try all.refuseUnsupported()
    }

    /// Go's encoding/json writes an empty list that was never made as null.
    @Test func noValidAttachmentsAreNotAMissingList() throws {
        let head = #"{"cniVersion":"1.1.0","name":"n","type":"vxseal-cni""#
        #expect(try configuration(head + #","cni.dev/valid-attachments":null}"#).validAttachments == [])
        #expect(try configuration(head + #","cni.dev/valid-attachments":[]}"#).validAttachments == [])
        #expect(code(head + #","cni.dev/valid-attachments":[{"containerID":"../x","ifname":"eth0"}]}"#) == 7)
        #expect(code(head + #","cni.dev/valid-attachments":{}}"#) == 7)
    }

    @Test(arguments: ["", "{", "[]", "7", "\u{0}", "{\"cniVersion\":\"1.0.0\"", "nonsense"])
    func whatIsNoObjectCannotBeDecoded(text: String) { #expect(code(text) == 6) }

    /// Deeper than any stack: it must end in an error.
    @Test func nestingHasAnEnd() {
        #expect(code(String(repeating: "[", count: 100_000)) == 6)
        #expect(code(String(repeating: #"{"a":"#, count: 100_000)) == 6)
    }

    @Test(arguments: ["0.1.0", "0.2.0", "1.2.0", "2.0.0", "x"])
    func otherVersionsAreIncompatible(version: String) {
        #expect(code(#"{"cniVersion":"\#(version)","name":"n","type":"t"}"#) == 1)
    }

    /// The specification: a configuration without a version is of 0.1.0.
    @Test func aMissingVersionIsIncompatible() { #expect(code(#"{"name":"n","type":"t"}"#) == 1) }

    @Test(arguments: [
        #""name":"../n""#, #""name":7"#, #""name":"""#, #""mode":"macvlan""#, #""bridge":"a/b""#,
        #""hairpinMode":"yes""#,
        #""mtu":67"#, #""mtu":65536"#, #""mtu":"1450""#, #""ipam":[]"#, #""ipam":{"type":"../../bin/sh"}"#,
        #""ipam":{"type":7}"#, #""dataDir":"relative""#, #""subnetFile":"relative""#, #""ipMasq":1"#,
    ])
    func invalidFieldsAreNamed(field: String) throws {
        let name = field.hasPrefix(#""name""#) ? "" : #","name":"n""#
        let text = #"{"cniVersion":"1.0.0","type":"t"\#(name),\#(field)}"#
        let error = #expect(throws: CNIError.self) { try configuration(text) }
        #expect(error?.code == 7)
        #expect(error?.message.contains(field.split(separator: "\"")[0]) == true)
    }

    @Test func unknownMembersAreRefusedWithTheirValue() throws {
        let vlan = try configuration(#"{"cniVersion":"1.0.0","name":"n","type":"t","vlan":7}"#)
        let error = #expect(throws: CNIError.self) { try vlan.refuseUnsupported() }
        #expect(error?.code == 2)
        #expect(error?.message.contains("vlan") == true && error?.message.contains("7") == true)
    }

    @Test func errorsAreTheSpecificationsObject() throws {
        let error = CNIError(.tryLater, "a", "b").json(.v0_4_0)
        #expect(
            String(decoding: error.bytes, as: UTF8.self) == #"{"cniVersion":"0.4.0","code":11,"details":"b","msg":"a"}"#
        )
    }

    @Test func theAnswerToVersionNamesAll() {
        let answer = CNIVersion.answer(to: "0.4.0")
        #expect(answer["cniVersion"] == .text("0.4.0"))
        #expect(answer["supportedVersions"]?.list == ["0.3.1", "0.4.0", "1.0.0", "1.1.0"].map { .text($0) })
        #expect(CNIVersion.answer(to: nil)["cniVersion"] == .text("1.1.0"))
    }

    /// What the plugin does not know goes on to the address plugin as it came.
    @Test func jsonIsKeptWhole() throws {
        let text = #"{"a":[1,-2,1.5,true,false,null,"\u00e4\"\\/"],"b":{"":{}},"c":9007199254740993}"#
        let value = try #require(JSON(parsing: Array(text.utf8)))
        #expect(value["c"] == .integer(9_007_199_254_740_993))
        #expect(JSON(parsing: value.bytes) == value)
    }
}
