# Configs/two-site-gateway as its page says: two sites of kernel VTEPs, joined by two gateways that pass frames between standard VXLAN and a sealed path: broadcast, ARP,
# IPv6, TCP, a station that moves from one site to the other, a gateway that is killed under load, and a loop made on purpose.
. "$(dirname "$0")/common.sh"
node g1 192.0.2.1 fd00::1; node g2 192.0.2.2 fd00::2; 
node a1 192.0.2.11 fd00::11; node a2 192.0.2.12 fd00::12; node b1 192.0.2.21 fd00::21; node lp 192.0.2.31 fd00::31

# gateway NAME EXAMPLE PLAINTEXT-PORTS: the example as it is, but for places of this machine
gateway() {
    { printf '%s\n' "${VXSEAL_TEST_SETTINGS:-}"
      sed -e "s#\.\./\.\./keys-example#$VXSEAL_ROOT/keys-example#" -e "s#/var/lib/vxseal#$work/state#" \
          -e "s#/run/vxseal/$2.sock#$work/$1.sock#" -e "s#^plaintextListen: .*#plaintextListen: [$3]#" \
          "$VXSEAL_ROOT/Configs/two-site-gateway/$2.yaml"; } > "$work/$1.yaml"
}
gateway g1 gateway-a '"0.0.0.0:4789"'; gateway g2 gateway-b '"0.0.0.0:4789", "0.0.0.0:4790"'
example_keys=--allow-example-keys

# vtep NAME ADDRESS REMOTE...: the kernel's VXLAN in a bridge of its own, which knows its own site alone
vtep() {
    local name=$1 number=$2 remote
    shift 2
    ip -n "$name" link add br42 type bridge
    ip -n "$name" link add vx42 type vxlan id 42 dstport 4789 local "192.0.2.$number"
    ip -n "$name" link set vx42 mtu 1400 master br42 up
    ip -n "$name" addr add "10.50.0.$number/24" dev br42
    ip -n "$name" addr add "fd50::$number/64" dev br42 nodad
    ip -n "$name" link set br42 mtu 1400 up
    for remote in "$@"; do ip netns exec "$name" bridge fdb append 00:00:00:00:00:00 dev vx42 dst "$remote"; done
}
vtep a1 11 192.0.2.1 192.0.2.12; vtep a2 12 192.0.2.1 192.0.2.11; vtep b1 21 192.0.2.2
# Between the sites nothing travels in the clear.
ip netns exec g2 nft -f - <<'Y'
table ip seen {
    chain in {
        type filter hook input priority 0
        ip saddr != { 192.0.2.21, 192.0.2.31 } udp dport { 4789, 4790 } counter
    }
}
Y
up g1; up g2
[ "$(ask g1 "'device' in s['networks'][0]")" = False ] || fail "a relay without a device shows one"
until_true 20 "the other site" reach a1 10.50.0.21
reach a1 fd50::21 || fail "IPv6 from site to site"
reach b1 10.50.0.12 || fail "from the other side"
reach a1 10.50.0.12 || fail "within a site"
for n in a1 a2 b1; do answer_groups $n; done
all_answer a1 br42 10.50.0.255 10.50.0.12 10.50.0.21
all_answer b1 br42 10.50.0.255 10.50.0.11 10.50.0.12
all_answer b1 br42 ff02::1 "$(link_local a1 br42)" "$(link_local a2 br42)"
every_size a1 b1 10.50.0.21 1372 fd50::21 1352
every_size b1 a1 10.50.0.11 1372 fd50::11 1352
is_stopped() { [ "$(ask "$1" "s['networks'][0]['relay']['isStopped']")" = "$2" ]; }
for g in g1 g2; do is_stopped $g False || fail "$g takes plain traffic for a loop"; done

# What the sealed path does not carry is answered, to the plaintext side. 1400 bytes fit here; a shrunken path does not take them.
mss() { # FROM TO ADDRESS
    ip netns exec "$2" iperf3 -s -1 >/dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec $2 ss -ltn | grep -q 5201"
    ip netns exec "$1" timeout 30 iperf3 -c "$3" -n 16M > "$work/iperf.log" 2>&1 || fail "TCP from $1 to $2: $(cat "$work/iperf.log")"
}
mss a1 b1 10.50.0.21; mss b1 a1 fd50::11

# A station moves from a2 to b1 with its address.
ip netns add st
ip link add s netns st type veth peer name sp netns a2
ip -n a2 link set sp master br42 up
ip -n st addr add 10.50.0.77/24 dev s; ip -n st link set s up
until_true 10 "the station at a2" reach st 10.50.0.21
ip -n a2 link set sp netns b1
ip -n b1 link set sp master br42 up
until_true 15 "the station at b1" reach st 10.50.0.11
until_true 15 "the station from a2" reach a2 10.50.0.77

# A gateway is killed under load, and comes back.
ip netns exec b1 iperf3 -s -1 >/dev/null 2>&1 & children+=($!)
until_true 5 "iperf3 listens" sh -c "ip netns exec b1 ss -ltn | grep -q 5201"
ip netns exec a1 timeout 60 iperf3 -c 10.50.0.21 -t 8 > "$work/iperf.log" 2>&1 & load=$!; children+=($load)
sent() { [ "$(ask g1 "p['sent']['bytes']")" -gt "$1" ]; }
until_true 10 "the load" sent 30000000
stop g2 KILL; rm -f "$work/g2.sock"; up g2
wait $load || fail "TCP through a gateway that was killed: $(cat "$work/iperf.log")"
until_true 20 "the other site again" reach a1 10.50.0.21

# A third way between the sites: lp joins the plaintext sides of both gateways.
for g in "g1 4789" "g2 4790"; do
    set -- $g
    printf '  - {name: loop, plaintext: true, endpoint: "192.0.2.31:%s", networks: [42]}\n' "$2" >> "$work/$1.yaml"
    "$VXSEAL" reload --socket "$work/$1.sock" || fail "a peer that comes by a reload"
done
ip -n lp link add br0 type bridge; ip -n lp link set br0 up
ip -n lp link add vxa type vxlan id 42 dstport 4789 local 192.0.2.31 remote 192.0.2.1
ip -n lp link add vxb type vxlan id 42 dstport 4790 local 192.0.2.31 remote 192.0.2.2
for v in vxa vxb; do ip -n lp link set $v master br0 up; done
until_true 20 "the loop is noticed" sh -c "ip netns exec a1 ping -b -q -c 20 -i 0.02 -W 1 10.50.0.255 || true
    $VXSEAL status --socket $work/g1.sock | grep -q 'broadcasts STOPPED' || $VXSEAL status --socket $work/g2.sock | grep -q 'broadcasts STOPPED'"
until_true 5 "the log names the loop" grep -q "passed on came back" "$work/g1.log" "$work/g2.log"
# Nothing circulates, and known stations are reached: lp carries next to nothing from here on.
carried() { ip netns exec lp cat /sys/class/net/vxa/statistics/rx_packets; }
before=$(carried)
reach a1 10.50.0.21 || fail "a known station during a loop"
[ $(($(carried) - before)) -lt 100 ] || fail "$(($(carried) - before)) frames still go round"

[ "$(ip netns exec g2 nft list table ip seen | sed -n 's/.*packets \([0-9]*\).*/\1/p')" = 0 ] || fail "plaintext between the sites"

# Plaintext in the name of the other gateway.
before=$(dropped g2 tripwire)
ip netns exec g1 bash -c "printf '\\x08\\x00\\x00\\x00\\x00\\x00\\x2a\\x00\\x02\\x00\\x00\\x00\\x00\\x01\\x02\\x00\\x00\\x00\\x00\\x02\\x88\\xb5payload' > /dev/udp/192.0.2.2/4789"
until_true 5 "a tripwire" saw_drop g2 tripwire "$before"
until_true 5 "the status shows it" sh -c "$VXSEAL status --socket $work/g2.sock | grep -q 'TRIPWIRE: 1 plaintext datagrams in its name, last from 192.0.2.1:'"
until_true 5 "the log shows it" grep -q "tripwire: plaintext VXLAN came from the address of a peer that has a key" "$work/g2.log"
echo PASSED
