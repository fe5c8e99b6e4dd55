import Foundation
import KubernetesStandIn

// A stand-in of the Kubernetes API for scripts: kube-api-stand-in ADDRESS PORT [TOKEN]. It has no nodes; who has the
// token may create them as with the API. It prints its port when it is ready, and goes on until it is ended.
let arguments = CommandLine.arguments
guard (3...4).contains(arguments.count), let port = Int(arguments[2]) else {
    FileHandle.standardError.write(Data("usage: kube-api-stand-in ADDRESS PORT [TOKEN]\n".utf8))
    exit(2)
}
let cluster = StandInCluster()
if arguments.count == 4 { await cluster.allow(token: arguments[3], .administrator) }
try await StandInServer(cluster).serve(address: arguments[1], port: port) { port in
    FileHandle.standardOutput.write(Data("\(port)\n".utf8))
    while true { try await Task.sleep(for: .seconds(3600)) }
}
