/// What may stand in a manifest: the fields of the kinds that Deploy/kubernetes uses, written from Kubernetes' API
/// reference (v1.31), and nothing else.
indirect enum ManifestShape: Sendable {
    case text
    case number
    case flag
    /// A port: a number or a name.
    case port
    case list(ManifestShape)
    /// Texts under names that the user chooses.
    case labels
    /// Fields, of which those in `needs` must be there.
    case fields([String: ManifestShape], needs: [String] = [])

    /// What is wrong with a value, with its place.
    func faults(_ value: Any, at place: String) -> [String] {
        switch self {
        case .text: value is String ? [] : ["\(place) is no text"]
        case .number: value is Int ? [] : ["\(place) is no number"]
        case .flag: value is Bool ? [] : ["\(place) is neither true nor false"]
        case .port: value is Int || value is String ? [] : ["\(place) is no port"]
        case .list(let element):
            (value as? [Any])?.enumerated().flatMap { element.faults($1, at: "\(place)[\($0)]") } ?? [
                "\(place) is no list"
            ]
        case .labels: value is [String: String] ? [] : ["\(place) has values that are no texts"]
        case .fields(let known, let needs):
            (value as? [String: Any]).map { object in
                object.sorted { $0.key < $1.key }.flatMap { name, value in
                    known[name]?.faults(value, at: "\(place).\(name)") ?? ["\(place).\(name) is no field"]
                } + needs.filter { object[$0] == nil }.map { "\(place).\($0) is missing" }
            } ?? ["\(place) is no object"]
        }
    }

    /// The kinds, by apiVersion and kind.
    static let kinds: [String: ManifestShape] = [
        "v1 Namespace": object([:]),
        "v1 ServiceAccount": object(["automountServiceAccountToken": .flag]),
        "v1 ConfigMap": object(["data": .labels], needs: ["data"]),
        "rbac.authorization.k8s.io/v1 ClusterRole": object(
            [
                "rules": .list(
                    .fields(
                        [
                            "apiGroups": .list(.text), "resources": .list(.text), "verbs": .list(.text),
                            "resourceNames": .list(.text),
                        ],
                        needs: ["apiGroups", "resources", "verbs"]
                    )
                )
            ],
            needs: ["rules"]
        ),
        "rbac.authorization.k8s.io/v1 ClusterRoleBinding": object(
            [
                "roleRef": .fields(
                    ["apiGroup": .text, "kind": .text, "name": .text],
                    needs: ["apiGroup", "kind", "name"]
                ),
                "subjects": .list(
                    .fields(["kind": .text, "name": .text, "namespace": .text], needs: ["kind", "name", "namespace"])
                ),
            ],
            needs: ["roleRef", "subjects"]
        ),
        "apps/v1 DaemonSet": object(
            [
                "spec": .fields(
                    [
                        "selector": selector,
                        "updateStrategy": .fields(
                            ["type": .text, "rollingUpdate": .fields(["maxUnavailable": .port, "maxSurge": .port])]
                        ),
                        "minReadySeconds": .number,
                        "template": .fields(["metadata": metadata, "spec": pod], needs: ["metadata", "spec"]),
                    ],
                    needs: ["selector", "template"]
                )
            ],
            needs: ["spec"]
        ),
        "monitoring.coreos.com/v1 PodMonitor": object(
            [
                "spec": .fields(
                    [
                        "selector": selector,
                        "podMetricsEndpoints": .list(.fields(["port": .text, "path": .text, "interval": .text])),
                    ],
                    needs: ["selector", "podMetricsEndpoints"]
                )
            ],
            needs: ["spec"]
        ),
    ]

    private static func object(_ more: [String: ManifestShape], needs: [String] = []) -> ManifestShape {
        let common: [String: ManifestShape] = ["apiVersion": .text, "kind": .text, "metadata": metadata]
        return .fields(common.merging(more) { $1 }, needs: ["apiVersion", "kind", "metadata"] + needs)
    }

    private static let metadata = ManifestShape.fields(
        ["name": .text, "namespace": .text, "labels": .labels, "annotations": .labels]
    )
    private static let selector = ManifestShape.fields(["matchLabels": .labels], needs: ["matchLabels"])

    private static let pod = ManifestShape.fields(
        [
            "serviceAccountName": .text, "automountServiceAccountToken": .flag, "hostNetwork": .flag, "hostPID": .flag,
            "dnsPolicy": .text, "priorityClassName": .text, "terminationGracePeriodSeconds": .number,
            "nodeSelector": .labels,
            "tolerations": .list(.fields(["key": .text, "operator": .text, "value": .text, "effect": .text])),
            "securityContext": .fields(
                [
                    "runAsUser": .number, "runAsGroup": .number, "fsGroup": .number, "runAsNonRoot": .flag,
                    "seccompProfile": seccomp,
                ]
            ),
            "initContainers": .list(container),
            "containers": .list(container),
            "volumes": .list(
                .fields(
                    [
                        "name": .text,
                        "configMap": .fields(["name": .text, "optional": .flag], needs: ["name"]),
                        "hostPath": .fields(["path": .text, "type": .text], needs: ["path"]),
                        "emptyDir": .fields(["medium": .text, "sizeLimit": .text]),
                    ],
                    needs: ["name"]
                )
            ),
        ],
        needs: ["containers"]
    )

    private static let seccomp = ManifestShape.fields(["type": .text, "localhostProfile": .text], needs: ["type"])

    private static let container = ManifestShape.fields(
        [
            "name": .text, "image": .text, "imagePullPolicy": .text, "command": .list(.text), "args": .list(.text),
            "env": .list(
                .fields(
                    [
                        "name": .text, "value": .text,
                        "valueFrom": .fields([
                            "fieldRef": .fields(["fieldPath": .text, "apiVersion": .text], needs: ["fieldPath"])
                        ]),
                    ],
                    needs: ["name"]
                )
            ),
            "ports": .list(
                .fields(
                    ["name": .text, "containerPort": .number, "hostPort": .number, "protocol": .text],
                    needs: ["containerPort"]
                )
            ),
            "securityContext": .fields(
                [
                    "privileged": .flag, "allowPrivilegeEscalation": .flag, "readOnlyRootFilesystem": .flag,
                    "runAsUser": .number, "runAsNonRoot": .flag, "seccompProfile": seccomp,
                    "capabilities": .fields(["add": .list(.text), "drop": .list(.text)]),
                ]
            ),
            "livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe,
            "resources": .fields(["requests": .labels, "limits": .labels]),
            "volumeMounts": .list(
                .fields(
                    ["name": .text, "mountPath": .text, "readOnly": .flag, "subPath": .text],
                    needs: ["name", "mountPath"]
                )
            ),
        ],
        needs: ["name", "image"]
    )

    private static let probe = ManifestShape.fields(
        [
            "httpGet": .fields(["host": .text, "path": .text, "port": .port, "scheme": .text], needs: ["port"]),
            "initialDelaySeconds": .number, "periodSeconds": .number, "timeoutSeconds": .number,
            "failureThreshold": .number,
            "successThreshold": .number,
        ]
    )
}
