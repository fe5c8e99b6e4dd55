# Several lanes: unequal counts, pinned ports, a translator between, a firewall that knows the listen ports alone. Every
# flow arrives whole and in order, and no counter is used twice.
. "$(dirname "$0")/common.sh"
here=$(dirname "$0")
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
add_router

# configure LANES-OF-N1 LANES-OF-N2 ENDPOINT-OF-N1 ENDPOINT-OF-N2 [MORE-OF-N2]
configure() {
    local n child
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; done
    children=()
    { head_of n1; printf 'lanes: %s\nnetworks:\n  - {vni: 42, addresses: [10.98.0.1/24]}\npeers:\n' "$1"
      peer_of n2 "$4:47890"; } > "$work/n1.yaml"
    { head_of n2; printf 'lanes: %s\n%bnetworks:\n  - {vni: 42, addresses: [10.98.0.2/24]}\npeers:\n' "$2" "${5:-}"
      peer_of n1 "$3:47890"; } > "$work/n2.yaml"
    for n in n1 n2; do up $n; done
    for n in n1 n2; do until_true 15 "$n has a session" established $n; done
}
ports() { ask "$1" "' '.join(p['lanePorts'])"; }
has_ports() { [ "$(ports "$1")" = "$2" ]; }

# Where datagrams may have stayed: drops of the nodes, refused sends, full queues and sockets, the firewall.
account() {
    for n in n1 n2; do
        ask $n "'$n', p['sent'], p['received'], p['lost'], p['lanePorts'], {k: v for k, v in s['drops'].items() if v}"
        ip netns exec $n nstat -asz UdpRcvbufErrors UdpSndbufErrors UdpMemErrors | tail -n +2
        ip netns exec $n ss -uanm 'sport = 47890'
    done
    ip netns exec router nft list ruleset; ip -n router -s link
    awk '{print "softnet", $1, $2, $3}' /proc/net/softnet_stat
}

flows=12 count=800 rate=100
# Numbered datagrams of twelve flows in each direction, and TCP beside them.
traffic() { # WHAT
    local n pids=() iperf=()
    local -A missed=()
    # Of all sessions: what a lane sent from a port that the firewall shuts counts once the lane is heard from the other port.
    for n in n1 n2; do missed[$n]=$(ask $n "p['lost']['received'] + p['duplicated']"); done
    for n in 1 2; do
        ip netns exec "n$n" python3 "$here/flows.py" receive 7000 $flows $count > "$work/flows-n$n" & pids+=($!)
        ip netns exec "n$n" iperf3 -s -1 -p 5201 > /dev/null 2>&1 & iperf+=($!)
        until_true 10 "a receiver is ready" grep -q ready "$work/flows-n$n"
        until_true 5 "iperf3 listens" sh -c "ip netns exec n$n ss -ltn | grep -q 5201"
    done
    for n in 1 2; do
        ip netns exec "n$n" python3 "$here/flows.py" send "10.98.0.$((3 - n))" 7000 $flows $count $rate & pids+=($!)
        ip netns exec "n$n" iperf3 -c "10.98.0.$((3 - n))" -P 4 -b 5M -t 6 > "$work/iperf-n$n.log" 2>&1 & iperf+=($!)
    done
    children+=("${pids[@]}" "${iperf[@]}")
    for n in "${pids[@]}"; do wait "$n" || fail "$1: numbered traffic"; done
    for n in "${iperf[@]}"; do wait "$n" || fail "$1: TCP"; done
    for n in n1 n2; do
        [ "$(ask $n "p['lost']['received'] + p['duplicated']")" = "${missed[$n]}" ] || fail "$1: $n missed or got twice: $(account)"
        for reason in authenticationFailed replayed outsideWindow laneOutOfRange sourceMismatch; do
            [ "$(dropped $n $reason)" = 0 ] || fail "$1: $n counts $reason"
        done
        read -r received twice disordered < <(tail -1 "$work/flows-$n")
        # Where the kernel steers, a flow may change its lane.
        [ "$(ask n1 "s.get('steering', 'ebpf')")$(ask n2 "s.get('steering', 'ebpf')")" = ebpfebpf ] || disordered=0
        [ "$received $twice $disordered" = "$((flows * count)) 0 0" ] ||
            fail "$1: $n received, twice, out of order: $received $twice $disordered of $((flows * count))"
    done
}

# One lane and three. On the wire each lane has its port, and no counter comes twice.
configure 1 3 192.0.2.1 192.0.2.2 'lanePorts: [47891, 47892]\n'
[ "$(ask n1 "s['lanes'], p['peerLanes']") $(ask n2 "s['lanes'], p['peerLanes']")" = "1 3 3 1" ] || fail "lane counts"
ip netns exec wire python3 "$here/replay.py" capture pn2 "$work/capture" & capture=$!; children+=("$capture")
traffic "one lane and three"
kill $capture; wait $capture 2>/dev/null || true
seen() { python3 "$here/flows.py" lanes "$work/capture" "$1"; }
[ "$(seen 192.0.2.1)" = "0:47890 0" ] || fail "n1 sent as $(seen 192.0.2.1)"
[ "$(seen 192.0.2.2)" = "0:47890 1:47891 2:47892 0" ] || fail "n2 sent as $(seen 192.0.2.2)"
has_ports n2 "fixed own own" || fail "ports of n2: $(ports n2)"

# A translator: n1 is seen at the router's address. Both sides use the listen port for all lanes.
printf '%s\n' 'table ip t {' 'chain p {' 'type nat hook postrouting priority 100;' 'oif "r2" masquerade' '}' '}' > "$work/nat"
ip netns exec router nft -f "$work/nat"
configure 3 2 198.51.102.254 198.51.102.1
# Whoever is translated finds out when it calls; n2 may have called first. A call of n1 before that could still cross with it.
until_true 20 "a session through the translator" established n1
"$VXSEAL" rotate session --socket "$work/n1.sock" > /dev/null
until_true 20 "n1 has found the translator" has_ports n1 "fixed fixed fixed"
until_true 20 "n2 was told of it" has_ports n2 "fixed fixed"
traffic "a translator"
ip netns exec router nft delete table ip t

# A firewall that lets only listen ports through.
printf '%s\n' 'table ip t {' 'chain f {' 'type filter hook forward priority 0;' 'udp sport != 47890 counter drop' '}' '}' > "$work/firewall"
ip netns exec router nft -f "$work/firewall"
configure 2 4 198.51.101.1 198.51.102.1
until_true 20 "lanes of n1 are black" has_ports n1 "fixed black"
until_true 20 "lanes of n2 are black" has_ports n2 "fixed black black black"
ip netns exec n2 "$VXSEAL" doctor -c "$work/n2.yaml" --json > "$work/doctor" 2> /dev/null || true
grep -q '"peers.blackLane"' "$work/doctor" || fail "doctor tells of no black lane: $(cat "$work/doctor")"
# What showed it never arrived. On new keys, and from here on, nothing is lost; two that called at once may have made two sessions
# before.
handshakes() { ask "$1" "p['handshakes']"; }
renewed() { [ "$(handshakes "$1")" -gt "${made[$1]}" ]; }
declare -A made
for n in n1 n2; do made[$n]=$(handshakes $n); done
"$VXSEAL" rotate session --socket "$work/n1.sock" > /dev/null
for n in n1 n2; do until_true 10 "$n has a new session" renewed $n; done
traffic "a firewall"
for n in n1 n2; do ports $n | grep -q own && fail "$n: $(ports $n)"; done
echo PASSED
