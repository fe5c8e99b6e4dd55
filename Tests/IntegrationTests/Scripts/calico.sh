# A node in a Calico VXLAN cluster: n1 is vxseal, n2 and n3 are the kernel's devices as Felix programs them, and the objects of all are
# in a stand-in of the Kubernetes API. Blocks, a lent address, the MAC address that comes from a node's name, a block that moves.
. "$(dirname "$0")/common.sh"
trap 'for child in "${children[@]}" $(pgrep -f "vxseal up -c $work/"); do kill "$child" 2>/dev/null || true; done; remove_work' EXIT
echo '{"Network": "10.1.0.0/16", "Backend": {"Type": "vxlan", "VNI": 4096, "Port": 4789}}' > "$work/net-conf.json"
for n in 1 2 3; do
    node "n$n" "198.51.100.$n" "fd00:51::$n"
    ip netns exec "n$n" sysctl -qw net.ipv4.ip_forward=1
    # Without it nobody answers for the pods' next hop.
    ip -n "n$n" route add default via 198.51.100.254
done
# On n1's loopback: tokens are not sent in the clear to other machines.
ip netns exec n1 "$(dirname "$VXSEAL")/kube-api-stand-in" 127.0.0.1 8001 secret > "$work/api.log" 2>&1 &
children+=($!)
cat > "$work/kubeconfig" << END
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: k, cluster: {server: "http://127.0.0.1:8001"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
END
chmod 600 "$work/kubeconfig"
ask_api() { ip netns exec n1 curl -sf -H "Authorization: Bearer secret" "$@"; }
nodes=http://127.0.0.1:8001/api/v1/nodes
blocks=http://127.0.0.1:8001/apis/crd.projectcalico.org/v1/ipamblocks
until_true 30 "the API answers" ask_api $nodes
put() { ask_api -X POST -H "Content-Type: application/json" "$1" -d "$2" > /dev/null || fail "the API refuses $2"; }
block() { # NAME CIDR NODE
    put $blocks "{\"apiVersion\":\"crd.projectcalico.org/v1\",\"kind\":\"IPAMBlock\",\"metadata\":{\"name\":\"$1\"},\"spec\":{\"cidr\":\"$2\",\"affinity\":\"host:$3\",\"allocations\":[],\"attributes\":[],\"deleted\":false}}"
}
mac() { printf '66:%s' "$(printf %s "$1" | sha1sum | cut -c1-10 | sed 's/../&:/g; s/:$//')"; }
for n in 1 2 3; do
    put $nodes "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n$n\",\"annotations\":{\"projectcalico.org/IPv4Address\":\"198.51.100.$n/24\",\"projectcalico.org/IPv4VXLANTunnelAddr\":\"10.1.$n.0\"}}}"
    block "10-1-$n-0-26" "10.1.$n.0/26" "n$n"
done
# A pod on each node.
for n in 1 2 3; do
    ip netns add "pod$n"
    ip -n "pod$n" link set lo up
    ip link add cali0 netns "n$n" type veth peer name eth0 netns "pod$n"
    ip -n "n$n" link set cali0 up
    ip -n "n$n" route add "10.1.$n.2/32" dev cali0
    ip netns exec "n$n" sysctl -qw net.ipv4.conf.cali0.proxy_arp=1
    ip -n "pod$n" addr add "10.1.$n.2/32" dev eth0
    ip -n "pod$n" link set eth0 mtu 1450 up
    ip -n "pod$n" route add 169.254.1.1 dev eth0
    ip -n "pod$n" route add default via 169.254.1.1
done
# As Felix programs them.
for n in 2 3; do
    ip -n "n$n" link add vxlan.calico address "$(mac "n$n")" type vxlan id 4096 dstport 4789 local "198.51.100.$n" nolearning
    ip -n "n$n" link set vxlan.calico mtu 1450 up
    ip -n "n$n" addr add "10.1.$n.0/32" dev vxlan.calico
    for m in 1 2 3; do
        [ "$m" = "$n" ] && continue
        ip -n "n$n" neigh replace "10.1.$m.0" dev vxlan.calico lladdr "$(mac "n$m")" nud permanent
        ip netns exec "n$n" bridge fdb replace "$(mac "n$m")" dev vxlan.calico dst "198.51.100.$m" self permanent
        ip -n "n$n" route replace "10.1.$m.0/26" via "10.1.$m.0" dev vxlan.calico onlink
    done
done
mkdir -p "$work/n1.state"
cat > "$work/n1.yaml" << END
node: n1
privateKeyFile: $work/n1.key
stateDirectory: $work/n1.state
adminSocket: $work/n1.sock
directory: {type: calico, kubeconfig: $work/kubeconfig, netConf: $work/net-conf.json}
interface: u
subnetFile: $work/n1.env
END
ip netns exec n1 "$VXSEAL" agent --allow-volatile-state -c "$work/n1.yaml" 2>> "$work/n1.log" &
children+=($!)
reach_pod() { ip netns exec "pod$1" ping -q -c 2 -i 0.05 -W 1 "10.1.$2.2"; }
until_true 30 "n1's pod reaches n2's" reach_pod 1 2
until_true 10 "and n3's" reach_pod 1 3
until_true 10 "and they it" reach_pod 2 1
[ "$(ip -n n1 -br link show vxlan.calico | awk '{print $3}')" = "$(mac n1)" ] || fail "the device's MAC address is not Calico's"
has() { ip -n n1 route show "$1" | grep -x "$1 via $2 dev vxlan.calico onlink *"; }
has 10.1.2.0/26 10.1.2.0 > /dev/null || fail "the block's route: $(ip -n n1 route)"

# Another block for n2, then it moves to n3.
block 10-1-2-64-26 10.1.2.64/26 n2
until_true 10 "the second block's route" has 10.1.2.64/26 10.1.2.0
ask_api -X PATCH -H "Content-Type: application/merge-patch+json" $blocks/10-1-2-64-26 -d '{"spec":{"affinity":"host:n3"}}' > /dev/null || fail "no change of a block"
until_true 10 "the block's route moves" has 10.1.2.64/26 10.1.3.0
reach_pod 1 2 > /dev/null || fail "n2 is lost with a block of its"

# An address of n2's block that n3 has borrowed.
ask_api -X PATCH -H "Content-Type: application/merge-patch+json" $blocks/10-1-2-0-26 \
    -d '{"spec":{"allocations":[null,null,null,0],"attributes":[{"secondary":{"node":"n3"}}]}}' > /dev/null || fail "no allocation"
lent() { ip -n n1 route show 10.1.2.3 | grep "via 10.1.3.0 dev vxlan.calico"; }
until_true 10 "a route for the lent address" lent

# A node that is deleted.
ask_api -X DELETE $nodes/n3 > /dev/null || fail "n3 cannot be deleted"
gone() { [ -z "$(ip -n n1 route show | grep 'via 10.1.3.0')" ]; }
until_true 20 "n1 forgets n3" gone
reach_pod 1 2 > /dev/null || fail "n2 is lost with n3"
echo PASSED
