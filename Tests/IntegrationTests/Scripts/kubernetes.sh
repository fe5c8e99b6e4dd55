# Two nodes of a Kubernetes cluster, with a stand-in of its API: pod subnets of the cluster, annotations as flannel's, sealed pods, an
# address that the operator overwrites, a key rotation, the API away, a node that is deleted.
. "$(dirname "$0")/common.sh"
trap 'for child in "${children[@]}" $(pgrep -f "vxseal up -c $work/"); do kill "$child" 2>/dev/null || true; done; remove_work' EXIT
api=http://127.0.0.1:8001
echo '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}' > "$work/net-conf.json"
ip netns add api
ip -n api link set lo up
ip link add u netns api type veth peer name papi netns wire
ip -n wire link set papi master br0 up
ip -n api link set u up
ip -n api addr add 198.51.100.100/24 dev u
ip netns exec api "$(dirname "$VXSEAL")/kube-api-stand-in" 0.0.0.0 8001 secret > "$work/api.log" 2>&1 &
children+=($!)
# Who may not send a token in the clear reaches the API by loopback, as through a tunnel.
cat > "$work/tunnel.py" << 'END'
import asyncio
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError: pass
    writer.close()
async def both(reader, writer):
    try: other = await asyncio.open_connection("198.51.100.100", 8001)
    except OSError: return writer.close()
    await asyncio.gather(pump(reader, other[1]), pump(other[0], writer))
async def main():
    async with await asyncio.start_server(both, "127.0.0.1", 8001) as server: await server.serve_forever()
asyncio.run(main())
END
cat > "$work/kubeconfig" << END
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: k, cluster: {server: "$api"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
END
chmod 600 "$work/kubeconfig"
declare -A tunnels
tunnel() {
    ip netns exec "n$1" python3 "$work/tunnel.py" 2> "$work/tunnel$1.log" &
    tunnels[$1]=$!
    children+=($!)
}
ask_api() { ip netns exec n1 curl -sf -H "Authorization: Bearer secret" "$@"; }
declare -A agents
start() {
    ip netns exec "n$1" "$VXSEAL" agent --allow-volatile-state --node "n$1" -c "$work/n$1.yaml" 2>> "$work/n$1.log" &
    agents[$1]=$!
    children+=($!)
}
for n in 1 2; do
    node "n$n" "198.51.100.$n" "fd00:51::$n"
    ip netns exec "n$n" sysctl -qw net.ipv4.ip_forward=1
    tunnel "$n"
    ip netns add "pod$n"
    ip -n "pod$n" link set lo up
    ip link add cni0 netns "n$n" type veth peer name eth0 netns "pod$n"
    ip -n "n$n" addr add "10.244.$n.1/24" dev cni0
    ip -n "n$n" link set cni0 up
    ip -n "pod$n" addr add "10.244.$n.2/24" dev eth0
    ip -n "pod$n" link set eth0 up
    ip -n "pod$n" route add default via "10.244.$n.1"
    mkdir -p "$work/n$n.state"
    cat > "$work/n$n.yaml" << END
privateKeyFile: $work/n$n.key
stateDirectory: $work/n$n.state
adminSocket: $work/n$n.sock
directory: {type: kubernetes, kubeconfig: $work/kubeconfig, netConf: $work/net-conf.json}
trust: pinned
interface: u
subnetFile: $work/n$n.env
END
done
until_true 30 "the API answers" ask_api $api/api/v1/nodes
create() {
    ask_api -X POST -H "Content-Type: application/json" $api/api/v1/nodes \
        -d "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n$1\"},\"spec\":{$2}}" > /dev/null || fail "n$1 cannot be created"
}
create 1 '"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"]'
annotation() { ask_api "$api/api/v1/nodes/n$1" | python3 -c "import json, sys; print(json.load(sys.stdin)['metadata'].get('annotations', {}).get('$2', ''))"; }
told() { "$VXSEAL" migrate status --json --socket "$work/n$1.sock" | python3 -c "import json, sys; a = json.load(sys.stdin); print($2)"; }
is() { [ "$(told "$1" "$2")" = "$3" ]; }
pods() { ip netns exec "pod$1" ping -q -c 2 -i 0.05 -W 1 "10.244.$2.2"; }

# A node waits until the cluster has it and has given it a subnet.
start 2
start 1
until_true 30 "n1 is up" test -s "$work/n1.env"
until_true 10 "n2 says why it waits" grep "the API knows no node n2" "$work/n2.log"
create 2 '"podCIDR":"10.244.2.0/24","podCIDRs":["10.244.2.0/24"]'
until_true 30 "pods reach each other" pods 1 2
is 1 'a["nodes"][0]["speaks"]' sealedOnly || fail "n2 is not sealed only"

# Byte for byte what flannel's nodes read, and the record apart from it.
annotation 1 flannel.alpha.coreos.com/backend-data | grep -x '{"VNI":1,"VtepMAC":"[0-9a-f:]*"}' > /dev/null || fail "backend-data"
[ "$(annotation 1 flannel.alpha.coreos.com/kube-subnet-manager)" = true ] || fail "kube-subnet-manager"
[ "$(annotation 1 flannel.alpha.coreos.com/public-ip)" = 198.51.100.1 ] || fail "public-ip"
annotation 1 vxseal.io/peer | grep '"signature"' > /dev/null || fail "no record"
ask_api $api/api/v1/nodes/n1 | grep VxsealIsUp > /dev/null || fail "the network is not said to be up"

# A rotation goes through the directory.
before=$(told 1 'a["nodes"][0]["publicKey"]')
"$VXSEAL" rotate identity --wait --overlap 1h --socket "$work/n2.sock" > "$work/rotation" || fail "$(cat "$work/rotation")"
renamed() { [ "$(told 1 'a["nodes"][0]["publicKey"]')" != "$before" ]; }
until_true 20 "n1 hears of n2's new key" renamed

# The API is away and comes back; meanwhile somebody has removed what n1 publishes: nothing ends, and it is written again.
kill -TERM "${tunnels[1]}"
wait "${tunnels[1]}" || true
until_true 30 "n1 says that the API is away" is 1 'a["isReachable"]' False
pods 1 2 > /dev/null || fail "traffic ends with the API"
ip netns exec n2 curl -sf -H "Authorization: Bearer secret" -X PATCH -H "Content-Type: application/merge-patch+json" \
    $api/api/v1/nodes/n1 -d '{"metadata":{"annotations":{"vxseal.io/peer":null}}}' > /dev/null || fail "the record cannot be removed"
until_true 10 "n2 notices" is 2 '[r["isKept"] for r in a["refused"]]' '[True]'
pods 1 2 > /dev/null || fail "a record that is removed takes n1 away"
tunnel 1
published() { annotation 1 vxseal.io/peer | grep signature; }
until_true 90 "n1 is published again" published
until_true 30 "n1 says that the API is back" is 1 'a["isReachable"]' True
until_true 10 "n2 has no complaint" is 2 'a["refused"]' '[]'

# An address that the operator overwrites is what others are told, after a restart of the agent.
ask_api -X PATCH -H "Content-Type: application/merge-patch+json" $api/api/v1/nodes/n2 \
    -d '{"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ip-overwrite":"198.51.100.22"}}}' > /dev/null || fail "no overwrite"
kill -TERM "${agents[2]}"; wait "${agents[2]}" || true
ip -n n2 addr add 198.51.100.22/24 dev u
start 2
until_true 30 "n1 reaches n2 by the other address" is 1 'a["nodes"][0]["addresses"]' "['198.51.100.22']"
until_true 20 "pods reach each other by it" pods 1 2

# A node that is deleted.
kill -TERM "${agents[2]}"; wait "${agents[2]}" || true
ask_api -X DELETE $api/api/v1/nodes/n2 > /dev/null || fail "n2 cannot be deleted"
until_true 20 "n1 forgets n2" is 1 'len(a["nodes"])' 0
[ -z "$(ip -n n1 route show 10.244.2.0/24)" ] || fail "n1 has a route to it"
echo PASSED
