# What others do to the devices while the daemon runs: a device is removed, its address changed, its bridge removed and made
# again, a plaintext network put beside it. The daemon goes on, and so does the traffic.
. "$(dirname "$0")/common.sh"
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
conf() { # NODE PEER LINES...
    local node=$1 peer=$2
    shift 2
    head_of "$node"; printf '%s\n' "$@"; printf 'peers:\n'; peer_of "$peer" "192.0.2.${peer#n}:47890"
}
conf n1 n2 'lanes: 2' 'networks:' '  - {vni: 42, addresses: [10.98.0.1/24, "fd98::1/64"]}' > "$work/n1.yaml"
conf n2 n1 'networks:' '  - {vni: 42, addresses: [10.98.0.2/24, "fd98::2/64"]}' > "$work/n2.yaml"
up n1; up n2
until_true 15 "traffic" reach n1 10.98.0.2
mac() { ip -n "$1" -o link show "$2" | sed 's/.*link.ether \([0-9a-f:]*\).*/\1/'; }
in_sys() { ip netns exec "$1" cat "/sys/class/net/$2"; }
index() { in_sys "$1" "$2/ifindex"; }
network() { ask "$1" "s['networks'][0]['$2']"; }
is_network() { [ "$(network "$1" "$2")" = "$3" ]; }
first=$(mac n1 vxs42)
# Locally administered, of one station, and set: 3 is NET_ADDR_SET, which systemd's MACAddressPolicy leaves alone.
[ $((0x${first%%:*} & 3)) = 2 ] || fail "the address $first"
[ "$(in_sys n1 vxs42/addr_assign_type)" = 3 ] || fail "the kernel takes the address for a random one"
[ "$first" != "$(mac n2 vxs42)" ] || fail "two nodes have one address"

# Removed, again and again, with both lanes at it. Nodes that call each other at once may have completed two handshakes.
handshakes=$(ask n1 "p['handshakes']")
for time in 1 2 3; do
    before=$(index n1 vxs42)
    ip -n n1 link del vxs42
    until_true 10 "the device is there again" is_network n1 deviceRestarts $time
    [ "$(index n1 vxs42)" != "$before" ] || fail "it is the old device"
    [ "$(mac n1 vxs42)" = "$first" ] || fail "the address has changed"
    until_true 10 "IPv4 after the device was removed" reach n1 10.98.0.2
    until_true 10 "IPv6 after the device was removed" reach n2 fd98::1
done
every_size n1 n2 10.98.0.2 1386 fd98::2 1366
grep -q "somebody removed a device" "$work/n1.log" || fail "the log says nothing of it"
[ "$(ask n1 "p['handshakes']")" = "$handshakes" ] || fail "the session was lost with the device"
# A lane whose queue is gone must wait for the new one, not turn in circles: nobody is busy while the name is taken.
seconds() { awk '{print $14 + $15}' "/proc/${daemons[n1]}/stat"; }
ip -n n1 link set vxs42 down
ip -n n1 link set vxs42 name away
ip -n n1 link add vxs42 type bridge
ip -n n1 link del away
until_true 10 "the log names what is in the way" grep -q "exists already" "$work/n1.log"
before=$(seconds)
read -rt 2 <> <(:) || true # the interval that is measured
[ $(($(seconds) - before)) -lt 100 ] || fail "$(($(seconds) - before)) clock ticks in 2 s for a device that is gone"
ip -n n1 link del vxs42
until_true 10 "the device is there again" is_network n1 deviceRestarts 4
until_true 10 "traffic once the name is free" reach n1 10.98.0.2

# As udev would, between making and setting.
ip -n n1 link set vxs42 address 02:00:00:00:00:99
is_first() { [ "$(mac n1 vxs42)" = "$first" ]; }
until_true 10 "the address is set back" is_first
until_true 10 "traffic with the address set back" reach n1 10.98.0.2

# The same after a restart, and after a rotation of the identity and a restart.
stop n1 TERM
until_true 5 "the device goes with the daemon" sh -c "! ip -n n1 link show vxs42"
up n1
is_first || fail "another address after a restart"
until_true 20 "a session" established n1
"$VXSEAL" rotate identity --wait --socket "$work/n1.sock" >/dev/null || fail "the rotation"
stop n1 TERM; up n1
is_first || fail "another address after a rotation"

# A bridge that does not exist is made, and removed at the end; the port's flags are those of a tunnel.
stop n1 TERM
conf n1 n2 'networks:' '  - {vni: 42, bridge: br-new}' '  - {vni: 43, device: vxp43, mode: plaintext}' > "$work/n1.yaml"
up n1
port() { [ "$(in_sys n1 "vxs42/brport/$1")" = "$2" ]; }
is_port_of() { ip -n n1 link show vxs42 | grep -q "master $1 "; }
is_no_port() { ! ip -n n1 link show vxs42 | grep -q master; }
is_port_of br-new || fail "the device is in no bridge"
for flag in learning:1 unicast_flood:1 multicast_flood:1 broadcast_flood:1 hairpin_mode:0 isolated:0 multicast_router:2; do
    port "${flag%:*}" "${flag#*:}" || fail "the port's flag ${flag%:*} is $(in_sys n1 "vxs42/brport/${flag%:*}")"
done
ip -n n1 addr show vxs42 | grep -q "inet6 fe80" && fail "a port is a station of its own"
[ "$(in_sys n1 br-new/addr_assign_type)" = 3 ] || fail "the bridge's address would follow its ports"
ip -n n1 addr add 10.98.0.1/24 dev br-new
until_true 20 "traffic through the bridge" reach n2 10.98.0.1
ip -n n1 link del vxs42
until_true 10 "the device is there again" is_network n1 deviceRestarts 1
until_true 10 "and in its bridge" is_port_of br-new
port multicast_router 2 || fail "the flags of a port that was made again"
until_true 10 "traffic through the bridge" reach n2 10.98.0.1
ip -n n1 link del br-new
until_true 10 "the bridge is made again" is_port_of br-new
# Taken out by hand it stays out, and the log says so.
ip -n n1 link set vxs42 nomaster
until_true 10 "the log says how to put it back" grep -q "ip link set vxs42 master br-new" "$work/n1.log"
is_no_port || fail "a port that somebody took out was put back"
ip -n n1 link set vxs42 master br-new

# A plaintext network in the bridge: the kernel's own, and this node's.
apart() { is_no_port && is_network n1 isKeptApart True; }
together() { is_port_of br-new && is_network n1 isKeptApart False; }
until_true 10 "together" together
ip -n n1 link add vx9 type vxlan id 9 dstport 4789 remote 192.0.2.2
for intruder in vx9 vxp43; do
    ip -n n1 link set "$intruder" master br-new
    until_true 10 "the sealed network leaves the bridge of $intruder" apart
    ip -n n1 link set "$intruder" nomaster
    until_true 10 "and comes back" together
done
grep -q "holds a sealed and a plaintext network" "$work/n1.log" || fail "the log says nothing of it"
stop n1 TERM
until_true 5 "the bridge goes with the daemon" sh -c "! ip -n n1 link show br-new"

# At start it is refused, with the way out; with the way out it runs, and the bridge that was there before stays.
ip -n n1 link add br-old type bridge
ip -n n1 link set vx9 master br-old
conf n1 n2 'networks:' '  - {vni: 42, bridge: br-old}' > "$work/n1.yaml"
code=0; ip netns exec n1 "$VXSEAL" up --allow-volatile-state -c "$work/n1.yaml" > "$work/out" 2>&1 || code=$?
[ $code = 1 ] && grep -q "br-old .*holds vx9.*allowMixedBridge" "$work/out" || fail "$code: $(cat "$work/out")"
conf n1 n2 'networks:' '  - {vni: 42, bridge: br-old, allowMixedBridge: true}' > "$work/n1.yaml"
up n1
is_port_of br-old || fail "an allowed mixed bridge"
ip -n n1 link del br-old
until_true 10 "it has left" is_no_port
ip -n n1 link add br-old type bridge
until_true 10 "a bridge that somebody made again has its port again" is_port_of br-old
stop n1 TERM
ip -n n1 link show br-old >/dev/null || fail "somebody else's bridge was removed"
echo PASSED
