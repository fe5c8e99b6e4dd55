import Foundation
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXEtcd

/// Against Debian's etcd. One after the other: each has servers of its own, and a machine has few cores.
@Suite(.serialized, .enabled(if: EtcdServer.isThere, "etcd is missing: Tools/install-dependencies --interop"))
struct RealEtcd {
    static let prefix = EtcdConfiguration.defaultPrefix
    static let subnets = prefix + "/subnets/"
    static let nodes = prefix + "/vxseal/nodes/"

    /// Soon again, so that a test need not wait; and apart, as in a cluster.
    static var timing: EtcdDirectory.Timing {
        EtcdDirectory.Timing(silence: 1, opening: 3, pauses: Backoff(first: 0.1, longest: 1))
    }

    static func directory(
        _ server: EtcdServer,
        seconds: Int64 = EtcdDirectory.leaseSeconds,
        configure: (inout EtcdConfiguration) -> Void = { _ in }
    ) throws -> EtcdDirectory {
        var configuration = EtcdConfiguration(endpoints: server.endpoints)
        configure(&configuration)
        return try EtcdDirectory(configuration, seconds: seconds, timing: timing)
    }

    static func pool(_ network: String, min: String? = nil, max: String? = nil) throws -> SubnetPool {
        let bounds = (min.map { ",\"SubnetMin\":\"\($0)\"" } ?? "") + (max.map { ",\"SubnetMax\":\"\($0)\"" } ?? "")
        return try FlannelNetworkConfiguration(
            parsing: "{\"Network\":\"\(network)\"\(bounds),\"Backend\":{\"Type\":\"vxlan\"}}"
        ).pool
    }

    static func request(
        _ address: String,
        _ pool: SubnetPool,
        record: String? = nil,
        earlier: [String] = []
    ) throws -> LeaseRequest {
        let ip = try #require(IPv4Address(address))
        let mac = try #require(MACAddress("02:00:00:00:00:01"))
        let lease = Lease(
            id: "",
            subnet: nil,
            publicIP: ip,
            backend: BackendData(vni: 1, mac: mac),
            record: record
        )
        return LeaseRequest(node: "node", pool: pool, lease: lease, earlier: earlier.compactMap { IPPrefix($0) })
    }

    static func value(_ address: String) -> String {
        #"{"PublicIP":"\#(address)","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}"#
    }

    /// How many etcd leases there are.
    static func leaseCount(_ server: EtcdServer) async throws -> Int {
        try await server.ctl("lease", "list").split(separator: "\n").count - 1
    }
}
