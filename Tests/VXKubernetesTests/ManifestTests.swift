import Foundation
import KubernetesStandIn
import Testing
import VXControl
import Yams

@testable import VXKubernetes

/// What is in Deploy/kubernetes, without a cluster, kustomize or Helm.
struct ManifestTests {
    private static let folder = URL(fileURLWithPath: #filePath)
        .appendingPathComponent("../../../Deploy/kubernetes").standardizedFileURL
    private static let base = ["namespace", "rbac", "config", "daemonset"]

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)
    }

    private static func objects(_ text: String) throws -> [[String: Any]] {
        try Yams.load_all(yaml: text).compactMap { $0 }.map { try #require($0 as? [String: Any]) }
    }

    private static func baseObjects() throws -> [[String: Any]] {
        try base.flatMap { try objects(text("base/\($0).yaml")) }
    }

    private static func chartObjects(_ changes: [String: Any] = [:]) throws -> [[String: Any]] {
        let values = try #require(try objects(text("chart/values.yaml")).first).merging(changes) { $1 }
        let template = ChartTemplate(values: values)
        return try (base + ["podmonitor"]).flatMap { name in
            try objects(template.render(text("chart/templates/\(name).yaml")))
        }
    }

    private static func kind(_ object: [String: Any]) -> String {
        "\(object["apiVersion"] ?? "") \(object["kind"] ?? "")"
    }

    private static func only(_ kind: String, _ objects: [[String: Any]]) throws -> [String: Any] {
        let found = objects.filter { $0["kind"] as? String == kind }
        #expect(found.count == 1)
        return try #require(found.first)
    }

    private static func pod(_ objects: [[String: Any]]) throws -> [String: Any] {
        let spec = try #require(try only("DaemonSet", objects)["spec"] as? [String: Any])
        return try #require((spec["template"] as? [String: Any])?["spec"] as? [String: Any])
    }

    private static func data(_ objects: [[String: Any]]) throws -> [String: String] {
        try #require(try only("ConfigMap", objects)["data"] as? [String: String])
    }

    private static func canonical(_ objects: [[String: Any]]) throws -> String {
        let data = try JSONSerialization.data(withJSONObject: objects, options: [.sortedKeys])
        return String(decoding: data, as: UTF8.self)
    }

    private static func rules(_ objects: [[String: Any]]) throws -> [AccessRule] {
        let rules = try #require(try only("ClusterRole", objects)["rules"] as? [[String: [String]]])
        return rules.flatMap { rule in
            (rule["apiGroups"] ?? []).flatMap { group in
                (rule["resources"] ?? []).flatMap { resource in
                    (rule["verbs"] ?? []).map { AccessRule(group: group, resource: resource, verb: $0) }
                }
            }
        }
    }

    // MARK: - Fields

    @Test func fieldsAreThoseOfTheAPI() throws {
        let podMonitor = try Self.objects(Self.text("components/podmonitor/podmonitor.yaml"))
        for objects in [
            try Self.baseObjects(), podMonitor, try Self.chartObjects(), try Self.chartObjects(["podMonitor": true]),
        ] {
            for object in objects {
                let shape = try #require(
                    ManifestShape.kinds[Self.kind(object)],
                    "\(Self.kind(object)) is no known kind"
                )
                #expect(shape.faults(object, at: Self.kind(object)) == [])
            }
        }
    }

    @Test func checkerFindsFaults() throws {
        let text = try Self.text("base/daemonset.yaml")
        for (old, new, said) in [
            ("hostNetwork: true", "hostnetwork: true", "hostnetwork is no field"),
            ("runAsUser: 0", "runAsUser: root", "is no number"),
            ("drop: [ALL]", "drop: ALL", "is no list"), ("            path: /run/vxseal\n", "", "path is missing"),
            ("privileged: false", "privileged: 'false'", "neither true nor false"),
        ] {
            #expect(text.contains(old))
            let object = try #require(try Self.objects(text.replacingOccurrences(of: old, with: new)).first)
            let shape = try #require(ManifestShape.kinds["apps/v1 DaemonSet"])
            let faults = shape.faults(object, at: "")
            #expect(!faults.isEmpty && faults.allSatisfy { $0.contains(said) })
        }
    }

    @Test func chartIsTheBase() throws {
        var expected = try Self.baseObjects()
        let chart = try Self.chartObjects()
        // Only the image's tag is not the base's own: kustomize sets it.
        let kustomization = try #require(try Self.objects(Self.text("base/kustomization.yaml")).first)
        let images = try #require(kustomization["images"] as? [[String: String]])
        let image = try #require(images.first)
        let text = try Self.text("base/daemonset.yaml").replacingOccurrences(
            of: "image: \(image["name"] ?? "")\n",
            with: "image: \(image["name"] ?? ""):\(image["newTag"] ?? "")\n"
        )
        expected.removeLast()
        expected += try Self.objects(text)
        #expect(try Self.canonical(expected) == Self.canonical(chart))
        let listed = try #require(kustomization["resources"] as? [String])
        #expect(Set(listed) == Set(Self.base.map { $0 + ".yaml" }))
    }

    /// The component is what the chart does with `podMonitor: true`.
    @Test func componentIsTheChartsCondition() throws {
        let chart = try Self.chartObjects(["podMonitor": true])
        let metrics = try #require(try Self.objects(Self.text("components/podmonitor/metrics.yaml")).first)
        #expect((metrics["data"] as? [String: String])?["agent.yaml"] == (try Self.data(chart))["agent.yaml"])
        let agent = try #require(try Self.data(Self.baseObjects())["agent.yaml"])
        #expect(
            agent.replacingOccurrences(of: "127.0.0.1:9472", with: "0.0.0.0:9472")
                == (try Self.data(chart))["agent.yaml"]
        )
        let monitor = try Self.only("PodMonitor", chart)
        let own = try Self.objects(Self.text("components/podmonitor/podmonitor.yaml"))
        #expect(try Self.canonical([monitor]) == Self.canonical(own))
        let port = try Self.pod(Self.objects(Self.text("components/podmonitor/port.yaml")))
        let patched = try #require((port["containers"] as? [[String: Any]])?.first)
        let agentContainer = try #require((try Self.pod(chart)["containers"] as? [[String: Any]])?.first)
        let ports = try Self.canonical([["ports": patched["ports"] ?? "none"]])
        #expect(ports.contains("9472"))
        #expect(try ports == Self.canonical([["ports": agentContainer["ports"] ?? "none"]]))
    }

    @Test(arguments: [
        "{{ .Values.nothing }}", "{{ .Release.Name }}", "{{ include \"x\" . }}", "{{- range .Values.image }}",
        "{{- end }}",
        "{{- if .Values.image }}\n{{- end }}", "{{- if .Values.podMonitor }}", "x: {{.Values.image}}",
    ]) func rendererRefusesWhatItDoesNotKnow(text: String) throws {
        let template = ChartTemplate(values: ["image": "a", "podMonitor": true])
        #expect(throws: ChartTemplate.Failure.self) { try template.render(text) }
    }

    // MARK: - Rights

    /// All that the directory asks for in a node's life, and nothing else, is what the ClusterRole allows.
    @Test func roleAllowsWhatIsAskedForAndNoMore() async throws {
        let rules = try Self.rules(Self.baseObjects())
        #expect(Set(rules).count == rules.count)
        #expect(Set(rules) == agentRules)
        let cluster = await cluster(nodes: 1...2)
        await cluster.change(.nodes, "node-1") { $0["metadata"]?["annotations"] = [:] }
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            let request = LeaseRequest(node: "node-1", pool: try pool(), lease: lease(1))
            let own = try await directory.acquire(request)
            try await directory.publish(own)
            try await running(directory, own) { _ in
                try await eventually("a watch") { await cluster.watcherCount == 1 }
            }
            try await directory.release(own)
        }
        let used = await cluster.takeRequests().map { request in
            let words = request.split(separator: " ")
            let resource = words[1].hasSuffix("/status") ? "nodes/status" : "nodes"
            return AccessRule(group: "", resource: resource, verb: String(words[0]))
        }
        #expect(Set(used) == Set(rules))
    }

    @Test func noContainerIsPrivileged() throws {
        let pod = try Self.pod(Self.baseObjects())
        let context = try #require(pod["securityContext"] as? [String: Any])
        #expect((context["seccompProfile"] as? [String: String]) == ["type": "RuntimeDefault"])
        #expect(pod["hostPID"] == nil)
        let containers = try #require(pod["containers"] as? [[String: Any]])
        let initial = try #require(pod["initContainers"] as? [[String: Any]])
        for (container, added) in containers.map({ ($0, ["NET_ADMIN"]) }) + initial.map({ ($0, []) }) {
            let context = try #require(container["securityContext"] as? [String: Any])
            #expect(context["privileged"] as? Bool == false)
            #expect(context["allowPrivilegeEscalation"] as? Bool == false)
            #expect(context["readOnlyRootFilesystem"] as? Bool == true)
            let capabilities = try #require(context["capabilities"] as? [String: [String]])
            #expect(capabilities["drop"] == ["ALL"])
            #expect(capabilities["add"] ?? [] == added)
        }
    }

    // MARK: - Names that must fit

    @Test func mountsAndFilesFit() throws {
        let objects = try Self.baseObjects()
        let pod = try Self.pod(objects)
        let volumes = try #require(pod["volumes"] as? [[String: Any]]).compactMap { $0["name"] as? String }
        #expect(Set(volumes).count == volumes.count)
        var mounted: Set<String> = []
        for list in ["containers", "initContainers"] {
            for container in try #require(pod[list] as? [[String: Any]]) {
                for mount in try #require(container["volumeMounts"] as? [[String: Any]]) {
                    mounted.insert(try #require(mount["name"] as? String))
                }
            }
        }
        #expect(mounted == Set(volumes))
        let data = try Self.data(objects)
        #expect(Set(data.keys) == ["net-conf.json", "agent.yaml", "10-vxseal.conflist"])
        #expect(throws: Never.self) { try FlannelNetworkConfiguration(parsing: data["net-conf.json"] ?? "") }
        let network = try #require(
            try JSONSerialization.jsonObject(with: Data((data["10-vxseal.conflist"] ?? "").utf8)) as? [String: Any]
        )
        let plugins = try #require(network["plugins"] as? [[String: Any]])
        #expect(plugins.compactMap { $0["type"] as? String } == ["vxseal-cni", "portmap"])
        let agent = try #require(try Self.objects(data["agent.yaml"] ?? "").first)
        let metrics = try #require(agent["metrics"] as? String)
        let container = try #require((pod["containers"] as? [[String: Any]])?.first)
        for probe in ["livenessProbe", "readinessProbe"] {
            let get = try #require((container[probe] as? [String: Any])?["httpGet"] as? [String: Any])
            #expect("\(get["host"] ?? ""):\(get["port"] ?? "")" == metrics)
        }
    }
}
