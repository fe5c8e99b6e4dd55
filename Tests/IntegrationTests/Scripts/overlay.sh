# Documentation/migrate-flannel.md, step by step: three nodes that are programmed as flannel does, with three members of etcd, are
# moved to sealed one after the other under traffic, and at last the door is closed.
. "$(dirname "$0")/common.sh"
trap 'for child in "${children[@]}" $(pgrep -f "vxseal up -c $work/"); do kill "$child" 2>/dev/null || true; done; remove_work' EXIT
prefix=/coreos.com/network
ip netns add etcd
ip -n etcd link set lo up
ip link add u netns etcd type veth peer name petcd netns wire
ip -n wire link set petcd master br0 up
ip -n etcd link set u up
# Three members; member N has the address that ends in N.
members=(100 101 102)
cluster=$(printf 'm%s=http://198.51.100.%s:2380,' 100 100 101 101 102 102)
urls=$(printf 'http://198.51.100.%s:2379,' "${members[@]}")
urls=${urls%,}
for m in "${members[@]}"; do
    ip -n etcd addr add "198.51.100.$m/24" dev u
    ip netns exec etcd etcd --name "m$m" --data-dir "$work/etcd$m" --initial-cluster "${cluster%,}" \
        --listen-client-urls "http://198.51.100.$m:2379" --advertise-client-urls "http://198.51.100.$m:2379" \
        --listen-peer-urls "http://198.51.100.$m:2380" --initial-advertise-peer-urls "http://198.51.100.$m:2380" \
        > "$work/etcd$m.log" 2>&1 &
    etcd[m]=$!
    children+=($!)
done
keys() { ip netns exec etcd env ETCDCTL_API=3 etcdctl --endpoints "$urls" "$@"; }
until_true 30 "etcd answers" keys endpoint health
# The number of the member that leads.
leader() {
    keys endpoint status --write-out json | python3 -c 'import json, sys
for m in json.load(sys.stdin):
    if m["Status"]["header"]["member_id"] == m["Status"]["leader"]: print(m["Endpoint"].split(":")[1].split(".")[-1])'
}
keys put $prefix/config '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}' > /dev/null

# A node with a pod behind it, and flannel's lease and device.
mac() { printf '02:00:00:00:0%s:01' "$1"; }
for n in 1 2 3; do
    node "n$n" "198.51.100.$n" "fd00:51::$n"
    ip netns exec "n$n" sysctl -qw net.ipv4.ip_forward=1
    ip netns add "pod$n"
    ip -n "pod$n" link set lo up
    ip link add cni0 netns "n$n" type veth peer name eth0 netns "pod$n"
    ip -n "n$n" addr add "10.244.$n.1/24" dev cni0
    ip -n "n$n" link set cni0 up
    ip -n "pod$n" addr add "10.244.$n.2/24" dev eth0
    ip -n "pod$n" link set eth0 up
    ip -n "pod$n" route add default via "10.244.$n.1"
    lease=$(keys lease grant 86400 | awk '{print $2}')
    keys put --lease="$lease" "$prefix/subnets/10.244.$n.0-24" "{\"PublicIP\":\"198.51.100.$n\",\"PublicIPv6\":null,\"BackendType\":\"vxlan\",\"BackendData\":{\"VNI\":1,\"VtepMAC\":\"$(mac "$n")\"}}" > /dev/null
    ip -n "n$n" link add flannel.1 address "$(mac "$n")" type vxlan id 1 dstport 8472 local "198.51.100.$n" nolearning
    ip -n "n$n" link set flannel.1 mtu 1450 up
    ip -n "n$n" addr add "10.244.$n.0/32" dev flannel.1
done
# What flannel does on a node when it hears of another's lease.
flannel() {
    local address=$1 other=$2
    ip -n "n$address" neigh replace "10.244.$other.0" dev flannel.1 lladdr "$3" nud permanent
    ip netns exec "n$address" bridge fdb replace "$3" dev flannel.1 dst "198.51.100.$other" self permanent
    ip -n "n$address" route replace "10.244.$other.0/24" via "10.244.$other.0" dev flannel.1 onlink
}
for n in 1 2 3; do for m in 1 2 3; do [ "$n" = "$m" ] || flannel "$n" "$m" "$(mac "$m")"; done; done
reach_pod() { ip netns exec "pod$1" ping -q -c 2 -i 0.05 -W 1 "10.244.$2.2"; }
all_reach() { local n m; for n in 1 2 3; do for m in 1 2 3; do [ "$n" = "$m" ] || reach_pod "$n" "$m" || return 1; done; done; }
until_true 20 "flannel's nodes reach each other" all_reach

declare -A agents
start() {
    cat > "$work/n$1.yaml" << END
node: n$1
privateKeyFile: $work/n$1.key
stateDirectory: $work/n$1.state
adminSocket: $work/n$1.sock
directory: {type: etcd, endpoints: [${urls//,/, }]}
seal: $2
trust: pinned
interface: u
subnetFile: $work/n$1.env
END
    mkdir -p "$work/n$1.state"
    ip netns exec "n$1" "$VXSEAL" agent --allow-volatile-state -c "$work/n$1.yaml" 2>> "$work/n$1.log" &
    agents[$1]=$!
    children+=($!)
}
told() { "$VXSEAL" migrate status --json --socket "$work/n$1.sock" | python3 -c "import json, sys; a = json.load(sys.stdin); print($2)"; }
is() { [ "$(told "$1" "$2")" = "$3" ]; }
says() { "$VXSEAL" migrate status --socket "$work/n$1.sock" > "$work/said" && grep "$2" "$work/said"; }
published() { keys get "$prefix/subnets/10.244.$1.0-24" --print-value-only | sed 's/.*"VtepMAC":"\([^"]*\)".*/\1/'; }
is_new() { [ "$(published "$1")" != "$(mac "$1")" ]; }

# 1. One node after the other: the first two by removing flannel's device, the third with the device left behind.
# Before the third, the member of etcd that leads is lost.
for n in 1 2 3; do
    [ "$n" = 3 ] || ip -n "n$n" link del flannel.1
    [ "$n" != 3 ] || kill -KILL "${etcd[$(leader)]}"
    start "$n" prefer
    until_true 30 "n$n takes over its lease" is_new "$n"
    until_true 10 "n$n keeps its subnet" grep "^FLANNEL_SUBNET=10.244.$n.1/24$" "$work/n$n.env"
    # Nodes of flannel hear of it.
    for m in 1 2 3; do [ "$m" -le "$n" ] || flannel "$m" "$n" "$(published "$n")"; done
    until_true 30 "all pods reach each other with $n nodes moved" all_reach
    sealed=$(( n == 1 ? 1 : n ))
    until_true 10 "n1 tells how far it is" says 1 "^sealed: $sealed of 3 nodes, $((sealed * (sealed - 1) / 2)) of 3 pairs"
done
grep "the kernel's VXLAN device of this overlay is replaced" "$work/n3.log" > /dev/null || fail "the old device is not named"
until_true 10 "the next step is named" says 1 "^next: all nodes are sealed"

# In flannel's leases and nowhere else is what flannel reads, byte for byte.
keys get "$prefix/subnets/10.244.1.0-24" --print-value-only |
    grep -x "{\"PublicIP\":\"198.51.100.1\",\"PublicIPv6\":null,\"BackendType\":\"vxlan\",\"BackendData\":{\"VNI\":1,\"VtepMAC\":\"[0-9a-f:]*\"}}" > /dev/null ||
    fail "n1's lease: $(keys get $prefix/subnets/10.244.1.0-24 --print-value-only)"

# 2. Close the door, node by node.
for n in 1 2 3; do
    kill -TERM "${agents[$n]}"
    wait "${agents[$n]}" || true
    start "$n" require
    until_true 30 "all pods reach each other with $n doors closed" all_reach
done
until_true 10 "it is done" says 1 "^done: everything is sealed"
listens() { ip netns exec n1 ss -Hlun | grep ":8472 "; }
listens > /dev/null && fail "n1 still listens for plaintext"

# A node of flannel that comes later stays outside.
keys put $prefix/subnets/10.244.9.0-24 '{"PublicIP":"198.51.100.9","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:09:01"}}' > /dev/null
until_true 10 "n1 refuses it" is 1 '[r["id"] for r in a["refused"]]' "['10.244.9.0-24']"
[ -z "$(ip -n n1 route show 10.244.9.0/24)" ] || fail "n1 has a route to it"

# etcd is away: traffic goes on, and it is told.
kill -TERM "${etcd[@]}" 2> /dev/null || true
until_true 60 "n1 says that etcd is away" is 1 'a["isReachable"]' False
all_reach > /dev/null || fail "traffic ends with etcd"
echo PASSED
