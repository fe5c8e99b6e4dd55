import Foundation
import KubernetesStandIn
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXKubernetes

/// Between nodes and leases, without a server.
struct NodeTests {
    private static let prefix = "flannel.alpha.coreos.com/"

    private static func annotations() throws -> NodeAnnotations {
        NodeAnnotations(names: try AnnotationNames(prefix: KubernetesConfiguration.flannelPrefix))
    }

    private static func dualStack() -> Lease {
        var lease = lease(3)
        lease.subnetV6 = IPPrefix("fd00:1:2:3::/64")
        lease.publicIPv6 = IPv6Address("2001:db8::3")
        lease.backendV6 = BackendData(vni: 1, mac: mac(0x63))
        return lease
    }

    /// What a node is after changes, by the same rules that a merge patch has.
    private static func applying(_ change: NodeChange, to node: NodeObject) -> NodeObject {
        var node = node
        for (name, value) in change.annotations { node.annotations[name] = value }
        if change.condition == .isUp {
            node.networkCondition = .init(type: "NetworkUnavailable", status: "False", reason: NodeChange.upReason)
        }
        return node
    }

    private static func written(_ lease: Lease, to node: NodeObject) throws -> NodeObject {
        try annotations().changes(of: node, to: lease).reduce(node) { applying($1, to: $0) }
    }

    private static func decoded(_ json: JSON) throws -> NodeObject {
        try JSONDecoder().decode(NodeObject.self, from: try json.data)
    }

    // MARK: - Reading

    @Test func nodeOfFlannelIsALease() throws {
        #expect(try Self.annotations().lease(of: Self.decoded(nodeJSON(7))) == lease(7))
    }

    @Test func nodesOutsideTheOverlayAreNone() throws {
        let annotations = try Self.annotations()
        #expect(try annotations.lease(of: Self.decoded(nodeJSON(7, annotations: [:]))) == nil)
        var other = nodeJSON(7)
        other["metadata"]?["annotations"]?[Self.prefix + "kube-subnet-manager"] = "false"
        #expect(try annotations.lease(of: Self.decoded(other)) == nil)
        #expect(try annotations.lease(of: Self.decoded(nodeJSON(7, cidrs: []))) == nil)
    }

    @Test func oldNodesHaveOneSubnet() throws {
        var old = nodeJSON(7)
        old["spec"]?["podCIDRs"] = nil
        #expect(try Self.annotations().lease(of: Self.decoded(old)) == lease(7))
    }

    @Test func familyThatTheOverlayDoesNotCarryIsLeftOut() throws {
        let node = try Self.decoded(nodeJSON(7, cidrs: ["fd00::/64", "\(subnet(7))"]))
        #expect(try Self.annotations().lease(of: node) == lease(7))
    }

    @Test(arguments: [
        ("public-ip", "198.51.0.300"), ("public-ip", "١٩٨.51.0.1"), ("public-ipv6", "198.51.0.1"),
        ("backend-data", "{\"VNI\":1"), ("backend-data", "{\"VNI\":1,\"VtepMAC\":\"ff:ff:ff:ff:ff:ff\"}"),
        ("backend-v6-data", "[]"), ("backend-data", String(repeating: "x", count: 10 << 20)),
    ]) func whatCannotBeReadIsSaid(name: String, value: String) throws {
        var json = nodeJSON(7)
        json["metadata"]?["annotations"]?[Self.prefix + name] = .text(value)
        let node = try Self.decoded(json)
        let failure = #expect(throws: NodeFailure.self) { try Self.annotations().lease(of: node) }
        #expect(failure?.description.contains(name) == true)
        #expect((failure?.description.utf8.count ?? 0) < 300)
    }

    @Test(arguments: [
        ["10.0.7.0/24", "10.0.8.0/24"], ["10.0.7.0/24", "fd00::/64", "fd01::/64"], ["10.0.7.0"], ["10.0.7.0/33"],
    ]) func subnetsThatCannotBeAreRefused(cidrs: [String]) throws {
        let node = try Self.decoded(nodeJSON(7, cidrs: cidrs))
        #expect(throws: NodeFailure.self) { try Self.annotations().lease(of: node) }
    }

    /// A record that is too long is not the same as none: its node must not be taken for an unsealed one.
    @Test func longRecordIsNoMissingRecord() throws {
        var json = nodeJSON(7)
        json["metadata"]?["annotations"]?["vxseal.io/peer"] = .text(String(repeating: "r", count: 8193))
        let node = try Self.decoded(json)
        #expect(throws: NodeFailure.self) { try Self.annotations().lease(of: node) }
    }

    @Test func onlyWantedAnnotationsAreKept() throws {
        let names = try AnnotationNames(prefix: KubernetesConfiguration.flannelPrefix)
        var json = nodeJSON(7)
        json["metadata"]?["annotations"]?["example.org/huge"] = .text(String(repeating: "x", count: 1 << 20))
        json["metadata"]?["annotations"]?["vxseal.io/peer"] = .text(String(repeating: "é", count: 5 << 20))
        let decoder = JSONDecoder()
        decoder.userInfo[NodeObject.wantedAnnotations] = names.all
        let node = try decoder.decode(NodeObject.self, from: try json.data)
        #expect(node.annotations.keys.allSatisfy(names.all.contains))
        #expect(node.annotations.values.reduce(0) { $0 + $1.utf8.count } < 20000)
        #expect(throws: NodeFailure.self) { try NodeAnnotations(names: names).lease(of: node) }
    }

    @Test func operatorsSettingsAreRead() throws {
        var json = nodeJSON(7)
        json["metadata"]?["annotations"]?[Self.prefix + "node-public-ip"] = "192.0.2.7"
        json["metadata"]?["annotations"]?[Self.prefix + "public-ip-overwrite"] = "203.0.113.7"
        let settings = try Self.annotations().settings(of: Self.decoded(json))
        #expect(settings == NodeSettings(localIP: IPv4Address("192.0.2.7"), publicIP: IPv4Address("203.0.113.7")))
        #expect(settings.overwriting(lease(7)).publicIP == IPv4Address("203.0.113.7"))
        json["metadata"]?["annotations"]?[Self.prefix + "node-public-ipv6"] = "192.0.2.7"
        let wrong = try Self.decoded(json)
        #expect(throws: NodeFailure.self) { try Self.annotations().settings(of: wrong) }
    }

    // MARK: - Writing

    @Test func writtenLeaseReadsBack() throws {
        var wanted = lease(3)
        wanted.record = "{\"v\":1}"
        let empty = NodeObject(name: "node-3", podCIDRs: ["\(subnet(3))"])
        let node = try Self.written(wanted, to: empty)
        #expect(try Self.annotations().lease(of: node) == wanted)
        #expect(node.annotations[Self.prefix + "backend-data"] == "{\"VNI\":1,\"VtepMAC\":\"02:00:00:00:00:03\"}")
        #expect(node.annotations[Self.prefix + "public-ip"] == "198.51.0.3")
        #expect(node.annotations["vxseal.io/peer"] == "{\"v\":1}")
        #expect(try Self.annotations().changes(of: node, to: wanted).isEmpty)
    }

    @Test func onlyWhatDiffersIsWritten() throws {
        var old = lease(3)
        old.record = "old"
        let node = try Self.written(old, to: NodeObject(name: "node-3", podCIDRs: ["\(subnet(3))"]))
        var new = old
        new.record = "new"
        #expect(
            try Self.annotations().changes(of: node, to: new) == [NodeChange(annotations: ["vxseal.io/peer": "new"])]
        )
        new.record = nil
        let removal = try Self.annotations().changes(of: node, to: new)
        #expect(removal.count == 1)
        #expect(removal.first?.annotations.keys.map { $0 } == ["vxseal.io/peer"])
        #expect(removal.first?.annotations["vxseal.io/peer"] == .some(nil))
    }

    /// flannel's own test of whether an update is to be taken notice of (pkg/subnet/kube/kube.go,
    /// `handleUpdateLeaseEvent`), with both families enabled.
    private static func flannelNotices(_ old: NodeObject, _ new: NodeObject) -> Bool {
        func same(_ names: String...) -> Bool {
            names.allSatisfy { old.annotations[prefix + $0] == new.annotations[prefix + $0] }
        }
        return !same("backend-data", "backend-type", "public-ip")
            && !same("backend-v6-data", "backend-type", "public-ipv6")
    }

    @Test(arguments: ["mac", "macV6", "address", "addressV6", "both", "record"])
    func flannelNoticesWhatChangesInDualStack(what: String) throws {
        let old = Self.dualStack()
        let before = try Self.written(old, to: NodeObject(name: "node-3", podCIDRs: old.subnets.map(\.description)))
        var new = old
        switch what {
        case "mac": new.backend?.mac = mac(0x99)
        case "macV6": new.backendV6?.mac = mac(0x99)
        case "address": new.publicIP = address(0x99)
        case "addressV6": new.publicIPv6 = IPv6Address("2001:db8::99")
        case "both":
            new.backend?.mac = mac(0x99)
            new.backendV6?.mac = mac(0x98)
        default: new.record = "new"
        }
        let changes = try Self.annotations().changes(of: before, to: new)
        #expect(changes.count == (["both", "record"].contains(what) ? 1 : 2))
        var node = before
        for change in changes {
            let next = Self.applying(change, to: node)
            #expect(Self.flannelNotices(node, next) == (what != "record"))
            // In between it means the same already.
            #expect(try Self.annotations().lease(of: next) == new)
            node = next
        }
        #expect(node.annotations[Self.prefix + "backend-data"] == new.backend?.json)
        #expect(node.annotations[Self.prefix + "backend-v6-data"] == new.backendV6?.json)
        #expect(try Self.annotations().changes(of: node, to: new).isEmpty)
    }

    @Test func operatorsAnnotationsStayAtRemoval() throws {
        let kept = [Self.prefix + "public-ip-overwrite": "203.0.113.7", "example.org/x": "y"]
        let empty = NodeObject(name: "node-3", annotations: kept, podCIDRs: ["\(subnet(3))"])
        let node = try Self.written(lease(3), to: empty)
        let removal = try #require(try Self.annotations().removal(from: node))
        #expect(Self.applying(removal, to: node).annotations == kept)
        #expect(removal.condition == .removed)
        #expect(try Self.annotations().removal(from: empty) == nil)
        // A condition that others wrote is theirs.
        var foreign = node
        foreign.networkCondition = .init(type: "NetworkUnavailable", status: "False", reason: "FlannelIsUp")
        #expect(try Self.annotations().removal(from: foreign)?.condition == .unchanged)
    }

    @Test func patchIsWhatTheAPITakes() throws {
        let change = NodeChange(annotations: ["a.b/c": "x\"y", "a.b/d": nil], condition: .isUp)
        let body = String(decoding: try change.body(now: Date(timeIntervalSince1970: 0)), as: UTF8.self)
        #expect(
            body == #"{"metadata":{"annotations":{"a.b/c":"x\"y","a.b/d":null}},"status":{"conditions":["#
                + #"{"lastHeartbeatTime":"1970-01-01T00:00:00Z","lastTransitionTime":"1970-01-01T00:00:00Z","#
                + #""message":"vxseal is running on this node","reason":"VxsealIsUp","status":"False","type":"NetworkUnavailable"}]}}"#
        )
    }

    // MARK: - Names

    @Test(arguments: [
        ("flannel.alpha.coreos.com", "flannel.alpha.coreos.com/public-ip"), ("a.b/", "a.b/public-ip"),
        ("a.b/overlay", "a.b/overlay-public-ip"), ("a.b/overlay-", "a.b/overlay-public-ip"),
    ]) func prefixesAreFlannels(prefix: String, name: String) throws {
        #expect(try AnnotationNames(prefix: prefix).publicIP == name)
    }

    @Test(arguments: ["", "/", "com", "a.b/c/d", "A.b", "a..b", "a.b/ü", "a.b /c"])
    func otherPrefixesAreRefused(prefix: String) {
        let error = #expect(throws: DirectoryError.self) { try AnnotationNames(prefix: prefix) }
        #expect(error?.description.contains("such as flannel.alpha.coreos.com") == true)
    }

    // MARK: - The table

    @Test func heartbeatsAreNoNews() throws {
        var table = NodeTable(try Self.annotations())
        let nodes = try (1...3).map { try Self.decoded(nodeJSON($0)) }
        #expect(table.replace(nodes) == [.snapshot([lease(1), lease(2), lease(3)])])
        var beat = nodes[1]
        beat.resourceVersion = "99"
        #expect(table.put(beat) == nil)
        beat.annotations[Self.prefix + "public-ip"] = "192.0.2.99"
        var moved = lease(2)
        moved.publicIP = IPv4Address("192.0.2.99")
        #expect(table.put(beat) == .updated(moved))
        #expect(table.put(beat) == nil)
        beat.annotations[Self.prefix + "public-ip"] = "?"
        #expect(
            table.put(beat) == .unreadable("node-2", why: "its annotation \(Self.prefix)public-ip is no IPv4 address")
        )
        #expect(table.put(beat) == nil)
        beat.annotations = [:]
        #expect(table.put(beat) == .removed("node-2"))
        #expect(table.put(beat) == nil)
        #expect(table.remove("node-2") == nil)
        #expect(table.remove("node-3") == .removed("node-3"))
        #expect(table.count == 1)
    }
}
