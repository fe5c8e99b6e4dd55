# vxseal doctor: a healthy node has no findings; then each fault is planted, seen by its name, and taken away again.
. "$(dirname "$0")/common.sh"
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; mkdir -p "$work/state-$n"; chmod 700 "$work/state-$n"; done
for n in 1 2; do
    other=$((3 - n))
    { head_of "n$n"
      printf 'lanes: 2\ncipher: libsodium\nnetworks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\n  - {vni: 43, mode: mixed, bridge: br43}\npeers:\n' "$n"
      peer_of "n$other" "192.0.2.$other:47890" | sed 's/\[42\]/[42, 43]/'; } > "$work/n$n.yaml"
done
# doctor CODE [OPTIONS]: examines n1
doctor() {
    local code=0 wanted=$1
    shift
    ip netns exec n1 "$VXSEAL" doctor -c "$work/n1.yaml" "$@" > "$work/doctor" 2> "$work/doctor.err" || code=$?
    [ $code = "$wanted" ] || fail "doctor $* ended with $code, not $wanted: $(cat "$work/doctor" "$work/doctor.err")"
}
# Without what no machine of the tests is to blame for, and what planted faults drop by the way.
ids() { python3 -c '
import json, sys
print(*sorted({f["id"] for f in json.load(open(sys.argv[1]))["findings"] if not f["id"].startswith("drops.")} - {"clock.unsynchronised", "state.volatile"}))' "$work/doctor"; }
# finds CODE WHAT...: exactly these
finds() {
    local code=$1 found
    shift
    doctor "$code" --json
    found=$(ids)
    [ "$found" = "$*" ] || fail "doctor finds '$found' and not '$*': $(cat "$work/doctor")"
}
n1() { ip netns exec n1 "$@"; }
# The state directories of the tests may be in memory, which is a warning there.
well=0
n1 "$VXSEAL" doctor -c "$work/n1.yaml" --json 2> /dev/null | grep -q state.volatile && well=3

finds $well daemon.absent
for n in n1 n2; do up $n; done
for n in n1 n2; do until_true 15 "$n has a session" established $n; done
reach n1 10.98.0.2 > /dev/null
finds $well
doctor $well
grep -q "^  peers *ok$" "$work/doctor" && grep -q "its daemon answers" "$work/doctor" || fail "$(cat "$work/doctor")"
[ "$(awk '{ if (length > 80) print }' "$work/doctor")" = "" ] || fail "wider than 80: $(cat "$work/doctor")"

# The configuration.
cp "$work/n1.yaml" "$work/well.yaml"
sed -i 's/vni: 42/vni: 0x42x/' "$work/n1.yaml"; finds 78 configuration.invalid
sed 's/{vni: 42, .*/{vni: 44}/; s/\[42, 43\]/[44, 43]/' "$work/well.yaml" > "$work/n1.yaml"
doctor 3 --json; [[ " $(ids) " = *" configuration.notInUse "* ]] || fail "$(cat "$work/doctor")"
sed 's/^node: n1/node: n9/' "$work/well.yaml" > "$work/n1.yaml"; doctor 3 --json
[[ " $(ids) " = *" configuration.otherNode "* ]] || fail "$(cat "$work/doctor")"
cp "$work/well.yaml" "$work/n1.yaml"
code=0; n1 "$VXSEAL" doctor -c "$work/n1.yaml" --peer nobody 2> /dev/null || code=$?; [ $code = 1 ] || fail "a peer that is none: $code"

# Keys and state: --fix mends the modes.
chmod 644 "$work/n1.key"; chmod 755 "$work/state-n1"
finds 1 keys.mode state.mode
doctor $well --fix
grep -q "^mended: chmod 600 $work/n1.key" "$work/doctor" && [ "$(stat -c %a "$work/n1.key" "$work/state-n1" | tr '\n' ' ')" = "600 700 " ] ||
    fail "not mended: $(cat "$work/doctor")"
# Devices.
n1 ip link set vxs42 down; finds 1 device.down
n1 ip link set vxs42 up
n1 ip link set vxs42 mtu 1300; finds 3 device.mtu; n1 ip link set vxs42 mtu 1414
n1 ip addr flush dev vxs42; finds 1 device.address; n1 ip addr add 10.98.0.1/24 dev vxs42
n1 ip link set vxs43 nomaster; finds 1 bridge.left; n1 ip link set vxs43 master br43
n1 ip link set br43 down; finds 1 bridge.down; n1 ip link set br43 up
n1 ip link add flannel.1 type bridge; finds 3 device.leftover; n1 ip link del flannel.1
# Routes.
n1 ip route add 192.0.2.2/32 dev vxs42; doctor 1 --json; [[ " $(ids) " = *" routes.loop "* ]] || fail "$(cat "$work/doctor")"; n1 ip route del 192.0.2.2/32
n1 ip route add unreachable 192.0.2.2/32; finds 1 routes.none; n1 ip route del unreachable 192.0.2.2/32
n1 sysctl -qw net.ipv4.conf.vxs42.rp_filter=1; finds 3 routes.overlayFilter
doctor $well --fix; [ "$(n1 sysctl -n net.ipv4.conf.vxs42.rp_filter)" = 2 ] || fail "rp_filter: $(cat "$work/doctor")"
n1 ip addr add 10.98.0.200/25 dev u; doctor 1 --json; [[ "$(ids)" = *routes.overlap* ]] || fail "$(cat "$work/doctor")"; n1 ip addr del 10.98.0.200/25 dev u
# The firewall.
nft_n1() { printf '%s\n' "$@" > "$work/rules"; n1 nft -f "$work/rules"; }
nft_n1 'table inet t {' 'chain i {' 'type filter hook prerouting priority 0;' 'udp dport 47000-47990 drop' '}' '}'
finds 1 firewall.port; n1 nft delete table inet t
nft_n1 'table inet t {' 'chain f {' 'type filter hook forward priority 0;' 'oifname "vxs42" reject' '}' '}'
finds 3 firewall.device; n1 nft delete table inet t
input() { nft_n1 'table inet t {' 'chain i {' "type filter hook input priority 0; policy $1;" 'ct state established,related accept' 'iifname "lo" accept' "${@:2}" '}' '}'; }
input accept 'tcp dport 22 accept' 'counter reject'; finds 1 firewall.port; n1 nft delete table inet t
nft_n1 'table ip t {' 'chain o {' 'type filter hook output priority 0; policy drop;' 'tcp dport 443 accept' '}' '}'
finds 1 firewall.output; n1 nft delete table ip t
if n1 iptables-legacy -A INPUT -p udp --dport 47890 -j DROP 2> /dev/null; then
    finds 1 firewall.port
    grep -q '"iptables-legacy -t filter -I INPUT -p udp --dport 47890 -j ACCEPT"' "$work/doctor" || fail "$(cat "$work/doctor")"
    n1 iptables-legacy -F; finds $well
else
    echo "iptables-legacy is not here, or not in this kernel; its rules are left to the unit tests"
fi
# Rules that let the peers in: for others, behind one that accepts, or for the whole interface.
for rule in 'ip saddr 203.0.113.0/24 udp dport 47890 drop' 'ip saddr { 192.0.2.2, 192.0.2.9 } accept; udp dport 47890 drop' \
    'iifname vmap { "u" : accept, "v" : drop }; drop'; do
    input accept "$rule"; finds $well; n1 nft delete table inet t
done
input drop 'ip saddr 192.0.2.99 accept'
doctor 1 --json; [[ "$(ids)" = *firewall.policy* ]] || fail "$(cat "$work/doctor")"
n1 "$VXSEAL" firewall -c "$work/n1.yaml" --apply > /dev/null
nft_n1 'add rule inet t i udp dport { 47890, 4789 } accept'; finds $well; n1 nft delete table inet t
n1 "$VXSEAL" firewall -c "$work/n1.yaml" --remove > /dev/null

# What the daemon says: a peer that is gone, a tripwire, an old program on the port.
printf 'x' | n1 python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'', ('127.0.0.1', 9))"
ip netns exec n2 python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(bytes([8, 0, 0, 0, 0, 0, 43, 0]) + bytes([2] * 12) + b'\x88\xb5' + bytes(46), ('192.0.2.1', 4789))"
until_true 5 "the tripwire" sh -c "[ \$('$VXSEAL' status --json --socket '$work/n1.sock' | sed -n 's/.*\"tripwires\" : \([0-9]*\).*/\1/p') -gt 0 ]"
finds 1 peers.tripwire
stop n2 TERM
until_true 10 "n1 has lost n2" sh -c "! '$VXSEAL' peers --socket '$work/n1.sock' | grep -q established"
finds 1 peers.tripwire peers.unreachable
stop n1 KILL
finds $well bridge.stale daemon.absent
doctor $well --fix; n1 ip link show br43 > /dev/null 2>&1 && fail "the bridge is still there: $(cat "$work/doctor")"
finds $well daemon.absent
n1 ip link add vx0 type vxlan id 7 dstport 4789 local 192.0.2.1
doctor 1 --json; [[ " $(ids) " = *" ports.vxlanDevice "* ]] || fail "$(cat "$work/doctor")"
n1 ip link del vx0
n1 python3 -c "
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 47890)); print('bound', flush=True); time.sleep(60)" > "$work/bound" &
children+=($!)
until_true 5 "somebody has the port" grep -q bound "$work/bound"
doctor 1 --json; [[ " $(ids) " = *" ports.taken "* ]] && grep -q 'python3 (pid' "$work/doctor" || fail "$(cat "$work/doctor")"
# A card that fills checksums in wrong: of a thousand datagrams to a port of nobody.
ip netns exec wire python3 - "$(ip netns exec n1 cat /sys/class/net/u/address)" << 'END'
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("pn1", 0))
ip = bytearray.fromhex("4500 0020 0000 0000 4011 0000 c0000202 c0000201")
total = sum(int.from_bytes(ip[n:n + 2]) for n in range(0, 20, 2))
ip[10:12] = (0xffff - (total + (total >> 16) & 0xffff)).to_bytes(2)
frame = bytes.fromhex(sys.argv[1].replace(":", "")) + b"\2" * 6 + b"\x08\0" + ip + bytes.fromhex("bb12 270f 000c 1234") + b"none"
for _ in range(1000): wire.send(frame)
END
doctor 1 --json; [[ " $(ids) " = *" sockets.checksums "* ]] || fail "$(n1 grep Udp: /proc/net/snmp; cat "$work/doctor")"
echo PASSED
