import Foundation
import NIOCore
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXEtcd

/// What needs no etcd.
@Suite struct UnitTests {
    // MARK: - Endpoints and keys

    @Test func whatFailedIsAskedLast() {
        var order = EndpointOrder(["a", "b", "c"])
        order.failed("a")
        #expect(order.all == ["b", "c", "a"])
        order.failed("b")
        order.failed("elsewhere")
        #expect(order.all == ["c", "a", "b"])
    }

    @Test(arguments: [
        ("/n/subnets/10.5.52.0-24", "lease 10.5.52.0-24"),
        ("/n/subnets/10.12.13.0-24&fd00:12:13::-56", "lease 10.12.13.0-24&fd00:12:13::-56"),
        ("/n/subnets/0.0.0.0-0&fd00:12:13::-56", "lease 0.0.0.0-0&fd00:12:13::-56"),
        ("/n/vxseal/nodes/10.5.52.0-24", "record 10.5.52.0-24"), ("/n/config", "other"), ("/n/subnets", "other"),
        ("/n/subnets/", "unreadable "), ("/n/subnets/0.0.0.0-0", "unreadable 0.0.0.0-0"),
        ("/n/subnets/10.5.52.0-24\u{200b}", "unreadable 10.5.52.0-24%E2%80%8B"),
        ("/n/subnets/10.5.52.0-24%", "unreadable 10.5.52.0-24%25"),
        ("/n/vxseal/nodes/\u{202e}x\n", "unreadable vxseal/nodes/%E2%80%AEx%0A"),
        (
            "/n/subnets/" + String(repeating: "x", count: 9000),
            "unreadable " + String(repeating: "x", count: 80) + "..."
        ),
    ])
    func whatAKeyIs(key: String, meaning: String) {
        let found =
            switch EtcdKeys(prefix: "/n/").meaning(of: Data(key.utf8)) {
            case .lease(_, let id): "lease \(id)"
            case .record(let id): "record \(id)"
            case .unreadable(let text): "unreadable \(text)"
            case .other: "other"
            }
        #expect(found == meaning)
    }

    @Test func aClaimIsOfAllKeysOfTheSameIPv4Subnet() {
        let keys = EtcdKeys(prefix: "/n")
        let claim = keys.claim("10.1.2.0-24&fd00::-64")
        #expect(
            claim == EtcdRange(start: Data("/n/subnets/10.1.2.0-24".utf8), end: Data("/n/subnets/10.1.2.0-25".utf8))
        )
        #expect(keys.claim("0.0.0.0-0&fd00::-64") == EtcdRange(key: "/n/subnets/0.0.0.0-0&fd00::-64"))
    }

    // MARK: - The clock of a lease

    @Test func aLeaseIsRenewedAfterAQuarterToAThirdAtRandom() {
        var random = SystemRandomNumberGenerator()
        let times = (0..<5000).map { _ in LeaseClock(seconds: 86400, now: 100, using: &random).next - 100 }
        #expect(times.allSatisfy { (21600...28800).contains($0) })
        // 5,000 nodes that start at once come spread over two hours: no minute has more than four times its share.
        let minutes = Dictionary(grouping: times) { Int($0 / 60) }
        #expect(minutes.count > 100 && minutes.values.allSatisfy { $0.count < 4 * 5000 / 120 })
    }

    @Test func afterFailuresItIsAskedForSoonAndThenEachMinute() {
        var random = SystemRandomNumberGenerator()
        var clock = LeaseClock(seconds: 86400, now: 0, using: &random)
        var now = clock.next
        var pauses: [Double] = []
        while now < 86400 {
            clock.failed(now: now, using: &random)
            pauses.append(clock.next - now)
            now = clock.next
        }
        #expect(pauses[0] <= 1 && pauses.allSatisfy { $0 > 0 && $0 <= 60 })
        #expect(pauses.count > 900)
        clock.renewed(seconds: 86400, now: now, using: &random)
        #expect(clock.next >= now + 21600 && clock.next <= now + 28800)
        clock.failed(now: now, using: &random)
        #expect(clock.next <= now + 1)
    }

    @Test func aShortLeaseIsAskedForSeveralTimesBeforeItEnds() {
        var random = SystemRandomNumberGenerator()
        var clock = LeaseClock(seconds: 2, now: 0, using: &random)
        var attempts = 0
        var now = clock.next
        while now < 2 {
            attempts += 1
            clock.failed(now: now, using: &random)
            now = clock.next
        }
        #expect(attempts >= 4)
    }

    // MARK: - The table

    static let keys = EtcdKeys(prefix: "/n")
    static func value(_ address: String) -> String {
        #"{"PublicIP":"\#(address)","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}"#
    }
    static func entry(_ key: String, _ value: String, lease: Int64 = 7) throws -> EtcdEntry {
        let text =
            #"{"key":"\#(Data(key.utf8).base64EncodedString())","value":"\#(Data(value.utf8).base64EncodedString())","lease":"\#(lease)"}"#
        return try JSONDecoder().decode(EtcdEntry.self, from: Data(text.utf8))
    }
    static func put(_ key: String, _ value: String, lease: Int64 = 7) throws -> WatchReply.Event {
        WatchReply.Event(type: nil, kv: try entry(key, value, lease: lease))
    }
    static func delete(_ key: String) throws -> WatchReply.Event {
        WatchReply.Event(type: "DELETE", kv: try entry(key, ""))
    }
    static let id = "10.5.52.0-24"
    static var lease: Lease {
        Lease(
            id: id,
            subnet: IPPrefix("10.5.52.0/24"),
            publicIP: IPv4Address("192.0.2.1"),
            backend: MACAddress("02:00:00:00:00:01").map { BackendData(vni: 1, mac: $0) }
        )
    }

    @Test func leaseAndRecordAreJoinedInEitherOrder() throws {
        var joined = Self.lease
        joined.record = "signed"
        for isRecordFirst in [true, false] {
            var table = LeaseTable(Self.keys)
            let lease = try Self.put("/n/subnets/" + Self.id, Self.value("192.0.2.1"))
            let record = try Self.put("/n/vxseal/nodes/" + Self.id, "signed")
            let first = table.apply([isRecordFirst ? record : lease])
            #expect(first == (isRecordFirst ? [] : [.updated(Self.lease)]))
            #expect(table.apply([isRecordFirst ? lease : record]) == [.updated(joined)])
            #expect(table.snapshot == [.snapshot([joined])])
            // The same again is no news.
            #expect(table.apply([lease, record]) == [])
            // An etcd lease that ends takes both at once.
            let both = try [Self.delete("/n/vxseal/nodes/" + Self.id), Self.delete("/n/subnets/" + Self.id)]
            #expect(table.apply(both) == [.removed(Self.id)])
            #expect(table.count == 0)
        }
    }

    @Test func aRecordThatCannotBeReadIsNotTakenForNone() throws {
        var table = LeaseTable(Self.keys)
        _ = try table.apply([Self.put("/n/subnets/" + Self.id, Self.value("192.0.2.1"))])
        let news = try table.apply([Self.put("/n/vxseal/nodes/" + Self.id, String(repeating: "x", count: 8193))])
        #expect(news == [.unreadable(Self.id, why: "a record of more than 8192 bytes")])
        #expect(try table.apply([Self.delete("/n/vxseal/nodes/" + Self.id)]) == [.updated(Self.lease)])
    }

    @Test func whatCannotBeReadIsNamedAndTheRestGoesOn() throws {
        let table = LeaseTable(
            Self.keys,
            try [
                Self.entry("/n/config", "{}"), Self.entry("/n/subnets/" + Self.id, Self.value("192.0.2.1")),
                Self.entry("/n/subnets/10.5.53.0-24", "[]"), Self.entry("/n/subnets/hello", "x"),
                Self.entry("/n/subnets/10.5.54.0-24", #"{"PublicIP":"192.0.2.9"}"#, lease: 0),
            ]
        )
        var reservation = Self.lease
        reservation.id = "10.5.54.0-24"
        reservation.subnet = IPPrefix("10.5.54.0/24")
        reservation.publicIP = IPv4Address("192.0.2.9")
        reservation.backendType = ""
        reservation.backend = nil
        reservation.isReservation = true
        #expect(
            table.snapshot == [
                .snapshot([Self.lease, reservation]), .unreadable("10.5.53.0-24", why: "no JSON object"),
                .unreadable("hello", why: "its key is none of a lease"),
            ]
        )
    }

    @Test func aReservationThatANodeUsesIsANode() throws {
        var table = LeaseTable(Self.keys)
        let news = try table.apply([Self.put("/n/subnets/" + Self.id, Self.value("192.0.2.1"), lease: 0)])
        #expect(news == [.updated(Self.lease)])
    }

    // MARK: - Configuration

    @Test(arguments: [
        (["ftp://a:2379"], "endpoint"), (["http://"], "endpoint"), (["http://u:p@a:2379"], "endpoint"),
        (["http://a:2379/v3"], "endpoint"), ([], "no endpoint"),
    ])
    func endpointsAreChecked(endpoints: [String], word: String) {
        #expect { try EtcdDirectory(EtcdConfiguration(endpoints: endpoints)) } throws: { error in
            guard let error = error as? DirectoryError else { return false }
            return error.description.contains(word) && !error.isTransient && !error.description.contains("u:p")
        }
    }

    @Test func filesThatBelongTogether() {
        #expect(throws: DirectoryError.self) { try EtcdDirectory(EtcdConfiguration(certificateFile: "x")) }
        #expect(throws: DirectoryError.self) { try EtcdDirectory(EtcdConfiguration(username: "x")) }
    }

    @Test func aSecretThatEtcdRepeatsIsNotRepeated() {
        let error = EtcdError.refused(3, "invalid token s3cret", "http://a")
        #expect(!error.concealing("s3cret").description.contains("s3cret"))
        #expect(error.concealing(nil) == error)
    }
}
