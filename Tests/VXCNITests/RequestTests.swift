import Testing
import VXCNI

@Suite struct RequestTests {
    private let full = [
        "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "a1", "CNI_NETNS": "/run/netns/p", "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
    ]

    private func code(_ changes: [String: String]) -> Int? {
        do {
            _ = try Request(environment: full.merging(changes) { $1 })
            return nil
        } catch { return error.code }
    }

    @Test func whatTheRuntimeSetsIsRead() throws {
        let request = try Request(environment: full)
        #expect(request.command == .add)
        #expect(try request.attachment == Attachment(containerID: "a1", interface: "eth0"))
        #expect(request.namespace == "/run/netns/p")
        #expect(request.path == ["/opt/cni/bin", "/usr/lib/cni"])
    }

    /// The specification, section 2: which variables each command needs.
    @Test func eachCommandNeedsItsVariables() {
        for command in ["ADD", "CHECK"] {
            for variable in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
                #expect(code(["CNI_COMMAND": command, variable: ""]) == 4)
            }
        }
        #expect(code(["CNI_COMMAND": "DEL", "CNI_NETNS": ""]) == nil)
        #expect(code(["CNI_COMMAND": "DEL", "CNI_IFNAME": ""]) == 4)
        let nothing = ["CNI_CONTAINERID": "", "CNI_NETNS": "", "CNI_IFNAME": ""]
        for command in ["GC", "STATUS", "VERSION"] {
            #expect(code(nothing.merging(["CNI_COMMAND": command]) { $1 }) == nil)
        }
        for command in ["", "add", "UPDATE"] { #expect(code(["CNI_COMMAND": command]) == 4) }
    }

    @Test(arguments: ["../x", "a/b", ".hidden", "-a", "a b", "a\n", "ä", "a:b"])
    func otherContainerIdentifiersAreRefused(id: String) { #expect(code(["CNI_CONTAINERID": id]) == 4) }

    @Test(arguments: [".", "..", "a/b", "a:b", "a b", "sixteen-bytes-ab", "é"])
    func otherInterfaceNamesAreRefused(name: String) { #expect(code(["CNI_IFNAME": name]) == 4) }

    @Test func hostInterfacesAreStableAndFitTheKernel() throws {
        var names: Set<String> = []
        for id in 0..<2000 {
            for interface in ["eth0", "net1"] {
                let name = try Attachment(containerID: "container-\(id)", interface: interface).hostInterface
                #expect(name.utf8.count == 15 && name.hasPrefix("veth"))
                names.insert(name)
            }
        }
        #expect(names.count == 4000)
        // FNV-1a of "a:eth0", computed elsewhere: records of an older version must still be found.
        #expect(try Attachment(containerID: "a", interface: "eth0").hostInterface == "veth33c0edbed13")
    }
}
