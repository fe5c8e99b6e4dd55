# Cryptokey binding with real stations behind real bridges: n2 is let in with its own stations alone, and what it forges is
# dropped at n1 under a reason of its own.
. "$(dirname "$0")/common.sh"
scripts=$(dirname "$0")
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
{ head_of n1; printf 'networks:\n  - vni: 42\n    addresses: [10.98.0.1/24, "fd98::1/64"]\npeers:\n'; peer_of n2 192.0.2.2:47890
  printf '    allow:\n      macs: ["02:00:00:00:00:02"]\n      prefixes: [10.98.0.2/32, "fd98::2/128"]\n'; } > "$work/n1.yaml"
{ head_of n2; printf 'networks:\n  - vni: 42\n    bridge: br-pods\npeers:\n'; peer_of n1 192.0.2.1:47890; } > "$work/n2.yaml"
ip -n n2 link add br-pods type bridge
ip -n n2 link set br-pods up
ip netns add h2
ip -n h2 link set lo up
ip link add name eth0 netns h2 type veth peer name h2 netns n2
ip -n n2 link set h2 mtu 1414
ip -n n2 link set h2 master br-pods up
ip -n h2 link set eth0 address 02:00:00:00:00:02 mtu 1414
ip -n h2 link set eth0 up
ip -n h2 addr add 10.98.0.2/24 dev eth0
ip -n h2 addr add fd98::2/64 dev eth0
for n in 1 2; do up "n$n"; done
for n in 1 2; do until_true 15 "n$n has a session" established "n$n"; done

# The station's own addresses work: ARP, neighbour discovery with its duplicate address detection, IP of both families.
until_true 10 "IPv4 with the station's own addresses" reach h2 10.98.0.1
until_true 10 "IPv6 with the station's own addresses" reach h2 fd98::1
"$VXSEAL" fdb --socket "$work/n1.sock" | grep -q "02:00:00:00:00:02 *n2 *allowed *-" || fail "fdb shows whose the station is"

# n1 has heard of its neighbour, and answers for it from now on: its own kernel takes the answers.
asked() { ask n1 "s['networks'][0]['neighbors']['answered']"; }
more_answered() {
    ip -n n1 neigh flush dev vxs42
    reach n1 10.98.0.2 && reach n1 fd98::2 && [ "$(asked)" -ge $((before + 2)) ]
}
before=$(asked)
until_true 10 "ARP and neighbour discovery are answered by n1 itself" more_answered

# forge REASON KIND: sends a frame of h2 until n1 has dropped one for the reason
forge() {
    local reason=$1 before
    shift
    before=$(dropped n1 "$reason")
    drop_grew() { ip netns exec h2 python3 "$scripts/forge.py" eth0 "$@" && saw_drop n1 "$reason" "$before"; }
    until_true 10 "$* is dropped as $reason" drop_grew "$@"
}
for tags in 0 1 2; do
    forge macNotAllowed mac "$tags"
    forge sourceNotAllowed ipv4 "$tags"
    forge sourceNotAllowed ipv6 "$tags"
    forge arpNotAllowed arp "$tags"
    forge neighborNotAllowed advertisement "$tags"
    forge routerNotAllowed router "$tags"
    forge dhcpServerNotAllowed dhcp "$tags"
    forge dhcpServerNotAllowed dhcp6 "$tags"
done
# The forwarding database of n2, which learns from n1 and from its own bridge: filtered, flushed in part, learned again.
fdb() { "$VXSEAL" fdb --socket "$work/n2.sock" "$@"; }
fdb --vni 42 --peer n1 | grep -q learned || fail "n2 has learned n1's station"
fdb --mac 02:00:00:00:00:02 | grep -q local || fail "n2 knows its own station"
fdb --flush --mac 02:00:00:00:00:99 >/dev/null
fdb | grep -q "n1 *learned" || fail "flushing one station takes others"
# A frame of n1's own kernel may be learned from between the two.
flushed() { ! grep -q learned <<< "$(fdb --flush --peer n1)"; }
until_true 10 "flushing a peer takes what was learned of it" flushed
fdb | grep -q local || fail "flushing a peer takes the own stations"
fdb --flush --peer nobody >/dev/null 2>"$work/flush.err" && fail "a peer that is not there is flushed"
grep -q "no peer has the name nobody" "$work/flush.err" || fail "what is wrong: $(cat "$work/flush.err")"
"$VXSEAL" fdb --socket "$work/n1.sock" --flush | grep -q allowed || fail "flushing takes what allow says"
reach h2 10.98.0.1 >/dev/null || fail "traffic after flushing"
fdb --peer n1 | grep -q learned || fail "n1's station is learned again"
"$VXSEAL" status --socket "$work/n2.sock" | grep -q "stations: [1-9][0-9]* learned of 16384 at most" || fail "status counts stations"

# A second address of the station: the kernel itself is held to the prefix.
ip -n h2 addr add 10.98.0.77/24 dev eth0
reach h2 -I 10.98.0.77 10.98.0.1 >/dev/null 2>&1 && fail "an address outside allow.prefixes gets through"
ip -n n1 neigh show | grep -q 10.98.0.77 && fail "n1's kernel learned a neighbour that is not allowed"
reach h2 -I 10.98.0.2 10.98.0.1 >/dev/null || fail "the station's own address after all of it"
# What is refused is told to the log, with where to look.
grep -q "see allow and fdb in the configuration" "$work/n1.log" || fail "the log does not tell of it"
# A MAC address in two allow lists is refused, with both lines.
sed 's|peers:|peers:\n  - name: other\n    publicKey: "'"$(cat "$work/n1.pub")"'"\n    networks: [42]\n    allow: {macs: ["02:00:00:00:00:02"]}|' \
    "$work/n1.yaml" > "$work/twice.yaml"
"$VXSEAL" check -c "$work/twice.yaml" > "$work/twice" 2>&1 && fail "a MAC address of two peers is accepted"
[ "$(grep -c "02:00:00:00:00:02 is in allow.macs of" "$work/twice")" = 2 ] || fail "both lines: $(cat "$work/twice")"
echo PASSED
