# Bridged use: the gateways' devices are ports of Linux bridges with a station behind each, and the path shrinks and grows
# under their traffic. It is the stations that must be told, through bridge and gateway.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/paths.sh"
left=h1 right=h2
for n in 1 2; do
    node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"
    ip -n "n$n" link add br-pods type bridge
    ip -n "n$n" link set br-pods up
    ip netns add "h$n"
    ip -n "h$n" link set lo up
    ip link add name eth0 netns "h$n" type veth peer name "h$n" netns "n$n"
    ip -n "n$n" link set "h$n" mtu 1414
    ip -n "n$n" link set "h$n" master br-pods up
    ip -n "h$n" link set eth0 mtu 1414
    ip -n "h$n" link set eth0 up
    ip -n "h$n" addr add "10.98.0.$n/24" dev eth0
    ip -n "h$n" addr add "fd98::$n/64" dev eth0 nodad
done
for n in 1 2; do
    { head_of "n$n"; printf 'networks:\n  - vni: 42\n    bridge: br-pods\npeers:\n'
      peer_of "n$((3 - n))" "192.0.2.$((3 - n)):47890"; } > "$work/n$n.yaml"
    up "n$n"
done
for n in 1 2; do until_true 15 "n$n has a session" established "n$n"; done
ip -n n1 link show vxs42 | grep -q "master br-pods" || fail "the device is in no bridge"
every_size h1 h2 10.98.0.2 1386 fd98::2 1366
check_shrink switch_mtu
saw_drop n1 tooBig 0 || fail "what was too big is counted"
"$VXSEAL" fdb --socket "$work/n1.sock" | grep -q "local" || fail "the station behind the bridge is not known as local"
echo PASSED
