# Configs/vm-bridge as its page says: two hosts with two machines each. Also a machine that moves from one host to the other,
# and a trunk.
. "$(dirname "$0")/common.sh"
mount -t tmpfs tmpfs /var/lib
machine() { # NAME HOST LAST-BYTE
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip link add name eth0 netns "$1" type veth peer name "$1" netns "$2"
    ip -n "$1" link set eth0 address "02:00:00:00:00:0$3" mtu 1414
    ip -n "$2" link set "$1" mtu 1414
    ip -n "$2" link set "$1" master br-vms up
    ip -n "$1" link set eth0 up
    ip -n "$1" addr add "10.98.0.$3/24" dev eth0
    ip -n "$1" addr add "fd98::$3/64" dev eth0 nodad
}
for n in a b; do
    number=1; [ $n = a ] || number=2
    node "node-$n" "192.0.2.$number" "fd00::$number"
    ip netns exec "node-$n" "$VXSEAL" up --allow-example-keys --allow-volatile-state \
        -c "$VXSEAL_ROOT/Configs/vm-bridge/node-$n.yaml" 2>> "$work/node-$n.log" &
    children+=($!)
    daemons[node-$n]=$!
    until_true 10 "node-$n answers" "$VXSEAL" status --socket "/run/vxseal/node-$n.sock"
done
machine vm1 node-a 1; machine vm2 node-a 2; machine vm3 node-b 3; machine vm4 node-b 4
for to in 2 3 4; do
    until_true 20 "vm1 reaches vm$to" reach vm1 "10.98.0.$to"
    until_true 20 "vm1 reaches vm$to over IPv6" reach vm1 "fd98::$to"
done
every_size vm1 vm3 10.98.0.3 1386 fd98::3 1366
for n in vm1 vm2 vm3 vm4; do answer_groups $n; done
all_answer vm1 eth0 10.98.0.255 10.98.0.2 10.98.0.3 10.98.0.4
"$VXSEAL" fdb --socket /run/vxseal/node-a.sock | grep -q "02:00:00:00:00:03 *node-b" || fail "vm3 is not known behind node-b"

# vm4 moves to node-a, and says so as a hypervisor would: a gratuitous ARP. Its neighbours on both hosts find it there.
ip netns del vm4
until_true 5 "its port is gone" sh -c "! ip -n node-b link show vm4"
machine vm4 node-a 4
announce() { ip netns exec vm4 python3 - <<'P'
import socket
device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
device.bind(("eth0", 0))
mac, address = b"\x02\0\0\0\0\x04", bytes([10, 98, 0, 4])
device.send(b"\xff" * 6 + mac + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" + mac + address + bytes(6) + address)
P
}
# A station must have been silent at one host for a second before another may have it.
moved() { announce; reach vm3 10.98.0.4 && reach vm1 10.98.0.4; }
until_true 20 "the machine that moved is found" moved

# The bridge goes with the daemon only when nobody else is in it.
kill -TERM "${daemons[node-a]}"; wait "${daemons[node-a]}" 2>/dev/null || true
ip -n node-a link show br-vms >/dev/null || fail "the machines' bridge was removed with their ports in it"
echo PASSED
