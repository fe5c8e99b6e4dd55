# A cluster of three nodes that find each other in files: join, routes as flannel makes them, traffic between pods, what others
# change, a key rotation, a hostile entry, a node that leaves, the packet process killed, a start without the directory.
. "$(dirname "$0")/common.sh"
# Packet processes outlive their agents.
trap 'for child in "${children[@]}" $(pgrep -f "vxseal up -c $work/"); do kill "$child" 2>/dev/null || true; done; remove_work' EXIT
directory=$work/directory
mkdir -p "$directory/nodes"
cat > "$directory/net-conf.json" << END
{"Network": "10.244.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:244::/48", "Backend": {"Type": "vxlan"}}
END

# agent NAME NUMBER: its configuration, with a pod of its own behind it
agent() {
    local n=$2
    node "$1" "198.51.100.$n" "fd00:51::$n"
    mkdir -p "$work/$1.state"
    echo "{\"subnets\": [\"10.244.$n.0/24\", \"fd00:244:0:$n::/64\"]}" > "$directory/nodes/$1.json"
    cat > "$work/$1.yaml" << END
node: $1
privateKeyFile: $work/$1.key
stateDirectory: $work/$1.state
listen: ["0.0.0.0:47890", "[::]:47890"]
adminSocket: $work/$1.sock
directory: {type: file, path: $directory}
trust: pinned
interface: u
subnetFile: $work/$1.env
masquerade: true
${VXSEAL_TEST_SETTINGS:-}
END
    ip netns add "pod$n"
    ip -n "pod$n" link set lo up
    ip link add cni0 netns "$1" type veth peer name eth0 netns "pod$n"
    ip -n "$1" addr add "10.244.$n.1/24" dev cni0
    ip -n "$1" addr add "fd00:244:0:$n::1/64" dev cni0 nodad
    ip -n "$1" link set cni0 up
    ip -n "pod$n" addr add "10.244.$n.2/24" dev eth0
    ip -n "pod$n" addr add "fd00:244:0:$n::2/64" dev eth0 nodad
    ip -n "pod$n" link set eth0 mtu 1394 up
    ip -n "pod$n" route add default via "10.244.$n.1"
    ip -n "pod$n" route add default via "fd00:244:0:$n::1"
    ip netns exec "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}
start() {
    ip netns exec "$1" "$VXSEAL" agent --allow-volatile-state -c "$work/$1.yaml" 2>> "$work/$1.log" &
    agents[$1]=$!
    children+=($!)
}
declare -A agents
# told NAME EXPRESSION: of what the agent tells, as Python, in which `a` is that
told() { "$VXSEAL" migrate status --json --socket "$work/$1.sock" | python3 -c "import json, sys; a = json.load(sys.stdin); print($2)"; }
is() { [ "$(told "$1" "$2")" = "$3" ]; }
knows() { is "$1" 'len(a["nodes"])' "$2"; }
pods() { ip netns exec "pod$1" ping -q -c 2 -i 0.05 -W 1 "10.244.$2.2" && ip netns exec "pod$1" ping -q -c 2 -i 0.05 -W 1 "fd00:244:0:$2::2"; }

agent n1 1
agent n2 2
agent n3 3
start n1
start n2
until_true 30 "n1 knows n2" knows n1 1
until_true 10 "n2 knows n1" knows n2 1
until_true 10 "pods reach each other" pods 1 2

# The file has what a CNI plugin reads, and the device what flannel gives it.
diff - "$work/n1.env" << END || fail "n1's subnet.env"
FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.1.1/24
FLANNEL_IPV6_NETWORK=fd00:244::/48
FLANNEL_IPV6_SUBNET=fd00:244:0:1::1/64
FLANNEL_MTU=1414
FLANNEL_IPMASQ=true
END
route() { ip -n n1 route show 10.244.2.0/24 | sed 's/ *$//'; }
[ "$(route)" = "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink" ] || fail "n1's route: $(route)"
ip -n n1 -4 addr show dev flannel.1 | grep "inet 10.244.1.0/32" > /dev/null || fail "the device's address"
ip -n n1 -6 route show | grep "^fd00:244:0:2::/64 via fd00:244:0:2:: dev flannel.1" > /dev/null || fail "n1's route of IPv6: $(ip -n n1 -6 route show)"
ip -n n1 neigh show dev flannel.1 | grep "^10.244.2.0 lladdr [0-9a-f:]* PERMANENT" > /dev/null || fail "n1's neighbour"
ip -n n1 route show 10.244.99.0/24 | grep . && fail "a route to nobody"
ip -n n1 route get 10.244.99.7 > /dev/null 2>&1 && fail "the overlay follows the default route"

# Sealed and nothing else: what the peer may claim is its subnet.
is n1 'a["nodes"][0]["speaks"]' sealedOnly || fail "n2 is not sealed only"
[ "$(ask n1 'p["state"]')" = established ] || fail "no session"
ip netns exec n2 nft list table inet vxseal-overlay | grep masquerade > /dev/null || fail "no masquerade"

# What others change is mended.
ip -n n1 route del 10.244.2.0/24
has_route() { [ -n "$(route)" ]; }
until_true 5 "the route is back" has_route
until_true 5 "pods reach each other again" pods 1 2
has_neighbor() { ip -n n1 neigh show dev flannel.1 | grep "^10.244.2.0 .*PERMANENT"; }
ip -n n1 neigh del 10.244.2.0 dev flannel.1
until_true 5 "the neighbour is back" has_neighbor
ip -n n1 link del flannel.1
until_true 10 "the device and its routes are back" has_route
until_true 10 "pods reach each other over the new device" pods 1 2
[ "$(told n1 'a["repairs"]')" -ge 2 ] || fail "repairs are not counted"

# A third node joins while traffic flows between the first two.
ip netns exec pod1 ping -q -i 0.01 -W 1 10.244.2.2 > "$work/ping" 2>&1 &
ping=$!
start n3
until_true 30 "n1 knows n3" knows n1 2
until_true 10 "pods reach n3's" pods 1 3
until_true 10 "and n3's theirs" pods 3 2

# A rotation: the directory names the new key, and nothing is lost.
before=$(told n1 '[n["publicKey"] for n in a["nodes"] if n["name"] == "n2"][0]')
"$VXSEAL" rotate identity --wait --overlap 1h --socket "$work/n2.sock" > "$work/rotation" || fail "the rotation: $(cat "$work/rotation")"
renamed() { [ "$(told n1 '[n["publicKey"] for n in a["nodes"] if n["name"] == "n2"][0]')" != "$before" ]; }
until_true 15 "n1 hears of n2's new key" renamed
until_true 5 "pods reach each other with the new key" pods 1 2
[ "$(ask n1 '[q["state"] for q in s["peers"] if q["name"] == "n2"][0]')" = established ] || fail "the session did not last"
kill -INT $ping; wait $ping || true
grep -q " 0% packet loss" "$work/ping" || fail "lost while a node joined and a key rotated: $(cat "$work/ping")"

# Hostile entries: another's subnet, this node's name, a record that was changed, and ten megabytes.
python3 - "$directory/nodes" << 'END'
import json, sys
folder = sys.argv[1]
def write(name, **fields):
    with open(f"{folder}/{name}.json", "w") as file: json.dump(fields, file)
good = json.load(open(f"{folder}/n3.json"))
write("evil1", subnets=["10.244.2.0/25"], publicIPs=["198.51.100.66"], backendData='{"VNI":1,"VtepMAC":"02:00:00:00:00:66"}')
write("evil2", subnets=["10.244.66.0/24"], publicIPs=["198.51.100.1"], record=good["record"])
write("evil3", subnets=["10.99.0.0/24"], publicIPs=["198.51.100.67"])
write("evil4", subnets=["10.244.67.0/24"], publicIPs=["127.0.0.1"])
changed = dict(good, publicIPs=["198.51.100.66"], record=good["record"].replace("198.51.100.3", "198.51.100.66"))
write("n3", **changed)
write("huge", subnets=["10.244.68.0/24"], record="x" * (10 << 20))
open(f"{folder}/broken.json", "w").write("{")
END
until_true 5 "n1 refuses them" is n1 'sorted(r["id"] for r in a["refused"])' "['broken', 'evil1', 'evil2', 'evil3', 'evil4', 'huge', 'n3']"
is n1 '[r["isKept"] for r in a["refused"] if r["id"] == "n3"]' '[True]' || fail "n3's good record no longer holds"
pods 1 3 > /dev/null || fail "a forged record takes n3 away"
pods 1 2 > /dev/null || fail "hostile entries take n2 away"
rm "$directory"/nodes/{evil1,evil2,evil3,evil4,huge,broken}.json

# A node leaves.
kill -TERM "${agents[n3]}"; wait "${agents[n3]}" || true
ip -n n3 link show flannel.1 > /dev/null 2>&1 && fail "n3's device stays"
ip netns exec n3 nft list table inet vxseal-overlay > /dev/null 2>&1 && fail "n3's rules stay"
ip -n n3 route add default via 198.51.100.254
ip netns exec pod3 ping -q -c 1 -W 1 10.244.1.2 > "$work/refused" 2>&1 && fail "n3's pod reaches others"
grep "+1 errors" "$work/refused" > /dev/null || fail "what n3's pod sends is not refused: $(cat "$work/refused")"
rm "$directory/nodes/n3.json"
until_true 5 "n1 forgets n3" knows n1 1
until_true 5 "its route is gone" sh -c '[ -z "$(ip -n n1 route show 10.244.3.0/24)" ]'

# The packet process dies: it is started again, with its routes.
kill -KILL "$(pgrep -P "${agents[n1]}" -f 'vxseal up')"
until_true 20 "pods reach each other after a crash" pods 1 2

# The agent dies: the packet process goes on, and the next agent takes it over.
packets=$(pgrep -P "${agents[n2]}" -f 'vxseal up')
kill -KILL "${agents[n2]}"; wait "${agents[n2]}" || true
pods 1 2 > /dev/null || fail "traffic ended with the agent"
start n2
until_true 15 "the agent takes it over" grep -q "is taken over" "$work/n2.log"
until_true 15 "n2 knows n1 again" knows n2 1
kill -0 "$packets" || fail "the packet process was started anew"
pods 1 2 > /dev/null || fail "traffic ended with the takeover"

# A start without the directory.
kill -TERM "${agents[n2]}"; wait "${agents[n2]}" || true
mv "$directory" "$work/away"
start n2
until_true 30 "n2 starts from what it remembers" pods 2 1
is n2 'a["isReachable"]' False || fail "n2 says that the directory answers"
"$VXSEAL" status --socket "$work/n2.sock" > "$work/status"
grep "DOES NOT ANSWER, for" "$work/status" > /dev/null || fail "the status does not tell: $(cat "$work/status")"
mv "$work/away" "$directory"
until_true 5 "the directory is back" is n2 'a["isReachable"]' True

# What is printed for people.
"$VXSEAL" migrate status --socket "$work/n2.sock" > "$work/migration"
grep -q "^sealed: 2 of 2 nodes, 1 of 1 pairs$" "$work/migration" || fail "$(cat "$work/migration")"
grep -q "^done: everything is sealed$" "$work/migration" || fail "$(cat "$work/migration")"
echo PASSED
