# Documentation/migrate-calico.md, step by step: two nodes and a third that moves last, with the kernel's devices as Felix programs
# them. Pods reach each other at every step, and at the end nothing of Calico's is in the clear.
. "$(dirname "$0")/common.sh"
mac() { printf '66:%s' "$(printf %s "$1" | sha1sum | cut -c1-10 | sed 's/../&:/g; s/:$//')"; }
declare -A address
for n in 1 2 3; do
    node "n$n" "198.51.100.$n" "fd00:51::$n"
    genkey "n$n"
    address[$n]=198.51.100.$n
    ip netns exec "n$n" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.u.rp_filter=2
    ip netns add "pod$n"
    ip link add cali0 netns "n$n" type veth peer name eth0 netns "pod$n"
    ip -n "n$n" link set cali0 up
    ip -n "n$n" route add "10.1.$n.2/32" dev cali0
    ip netns exec "n$n" sysctl -qw net.ipv4.conf.cali0.proxy_arp=1
    # Somewhere that is not the pod, or nobody answers for the pods' next hop.
    ip -n "n$n" route add default via 198.51.100.254
    ip -n "pod$n" addr add "10.1.$n.2/32" dev eth0
    ip -n "pod$n" link set lo up
    ip -n "pod$n" link set eth0 mtu 1450 up
    ip -n "pod$n" route add 169.254.1.1 dev eth0
    ip -n "pod$n" route add default via 169.254.1.1
done
mtu=1450
# felix NODE: its device, with the addresses that the Node objects have now
felix() {
    local n=$1 m
    ip -n "n$n" link del vxlan.calico 2> /dev/null || true
    ip -n "n$n" link add vxlan.calico address "$(mac "n$n")" type vxlan id 4096 dstport 4789 local "${address[$n]}" nolearning
    ip -n "n$n" link set vxlan.calico mtu $mtu up
    ip -n "n$n" addr add "10.1.$n.0/32" dev vxlan.calico
    for m in 1 2 3; do
        [ "$m" != "$n" ] || continue
        ip -n "n$n" neigh replace "10.1.$m.0" dev vxlan.calico lladdr "$(mac "n$m")" nud permanent
        ip netns exec "n$n" bridge fdb replace "$(mac "n$m")" dev vxlan.calico dst "${address[$m]}" self permanent
        ip -n "n$n" route replace "10.1.$m.0/26" via "10.1.$m.0" dev vxlan.calico onlink
    done
}
all_felix() { for n in 1 2 3; do felix $n; done; }
pair() { ip netns exec "pod$1" ping -q -c 2 -i 0.05 -W 1 "10.1.$2.2"; }
all_reach() { local n m; for n in 1 2 3; do for m in 1 2 3; do [ "$n" = "$m" ] || pair "$n" "$m" || return 1; done; done; }
all_felix
until_true 10 "Calico's pods reach each other" all_reach

# 1. A sealed network between the hosts.
for n in 1 2 3; do
    {
        head_of "n$n"
        printf 'networks:\n  - {vni: 42, device: vxs42, addresses: [10.98.0.%s/24]}\npeers:\n' "$n"
        for m in 1 2 3; do [ "$m" = "$n" ] || peer_of "n$m" "198.51.100.$m:47890"; done
    } > "$work/n$n.yaml"
    up "n$n"
done
for n in 1 2 3; do
    until_true 15 "n$n has both sessions" established "n$n" 2
    for m in 1 2 3; do [ "$m" = "$n" ] || until_true 5 "n$n reaches n$m sealed" reach "n$n" "10.98.0.$m"; done
done

# 2. Smaller packets.
mtu=1364
all_felix
until_true 10 "pods reach each other with the smaller MTU" all_reach

# 3. One node after the other. Somebody counts at the switch what passes of Calico's, and what sealed.
ip netns exec wire nft -f - << 'END'
table bridge watch {
    counter calico { }
    counter sealed { }
    chain forward { type filter hook forward priority 0; udp dport 4789 counter name calico; udp dport 47890 counter name sealed; }
}
END
counted() { ip netns exec wire nft list counter bridge watch "$1" | awk '/packets/ { print $2 }'; }
# sealed_pair N M: what these pods say passes the switch sealed alone
sealed_pair() {
    local calico sealed
    calico=$(counted calico) sealed=$(counted sealed)
    pair "$1" "$2" > /dev/null || fail "pod$1 does not reach pod$2"
    [ "$(counted calico)" = "$calico" ] || fail "pod$1 and pod$2 speak in the clear"
    [ "$(counted sealed)" -ge $((sealed + 4)) ] || fail "pod$1 and pod$2 do not speak sealed"
}
for n in 1 2 3; do
    address[$n]=10.98.0.$n
    all_felix
    until_true 10 "pods reach each other with $n nodes moved" all_reach
    [ $n != 2 ] || sealed_pair 1 2
done
# Large packets of pods that were made before are answered, not lost.
! ip netns exec pod1 ping -c 1 -W 1 -M do -s 1422 10.1.2.2 > "$work/large" || fail "1450 bytes pass"
grep -i "mtu *= *1364" "$work/large" > /dev/null || fail "pods are not told the MTU: $(cat "$work/large")"
ip netns exec pod1 ping -q -c 2 -i 0.05 -W 1 -M do -s 1336 10.1.2.2 > /dev/null || fail "1364 bytes do not pass"

# 4. Close the door.
for n in 1 2 3; do
    ip netns exec "n$n" nft add table inet calico-sealed
    ip netns exec "n$n" nft add chain inet calico-sealed input '{type filter hook input priority -10;}'
    ip netns exec "n$n" nft add rule inet calico-sealed input iifname != vxs42 udp dport 4789 counter drop
done
for pair in "1 2" "2 1" "1 3" "3 1" "2 3" "3 2"; do sealed_pair $pair; done
for n in 1 2 3; do
    ip netns exec "n$n" nft list table inet calico-sealed | grep "counter packets 0 " > /dev/null || fail "n$n has heard something in the clear"
done
echo PASSED
