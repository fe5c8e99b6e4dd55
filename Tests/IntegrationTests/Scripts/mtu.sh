# A path that carries less than the devices send, and changes: TCP, pings of every size and fragments keep flowing, and
# the sender of what is too big is told. First a switch that drops without a word, then a router that answers by ICMP.
. "$(dirname "$0")/common.sh"
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
add_router
configure() { # ENDPOINT-OF-N1 ENDPOINT-OF-N2
    for n in 1 2; do
        { head_of "n$n"; printf 'networks:\n  - vni: 42\n    addresses: [10.98.0.%s/24, "fd98::%s/64"]\npeers:\n' "$n" "$n"
          [ $n = 1 ] && peer_of n2 "$2:47890" || peer_of n1 "$1:47890"; } > "$work/n$n.yaml"
        up "n$n"
    done
    for n in 1 2; do until_true 15 "n$n has a session" established "n$n"; done
}
path_mtu() { status "$1" | sed -n 's/.*"pathMTU" : \([0-9]*\).*/\1/p'; }
path_within() { local mtu; mtu=$(path_mtu "$1"); [ "${mtu:-0}" -ge "$2" ] && [ "$mtu" -le "$3" ]; }
told() { # the kernel of n1 has been told a smaller MTU towards 10.98.0.2
    ip netns exec n1 ping -q -c 1 -W 1 -M do -s 1386 10.98.0.2 > /dev/null 2>&1 || true
    ip -n n1 route get 10.98.0.2 | grep -q "mtu 1[23]"
}
traffic() {
    reach n1 -s 56 10.98.0.2 && reach n1 -s 1386 10.98.0.2 && reach n1 -s 6000 10.98.0.2 && reach n2 -s 1386 10.98.0.1 &&
        reach n1 -s 1366 fd98::2
}

check_shrink() { # COMMAND THAT SETS THE PATH'S MTU TO ITS ARGUMENT
    until_true 15 "the whole interface MTU is found" path_within n1 1500 1500
    reach n1 -s 1386 -M do 10.98.0.2 > /dev/null || fail "full size before"
    ip netns exec n2 iperf3 -s -1 -p 5201 > /dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec n2 ss -ltn | grep -q 5201"
    ip netns exec n1 iperf3 -c 10.98.0.2 -p 5201 -t 25 -J > "$work/iperf.json" 2>&1 & load=$!
    "$1" 1400
    until_true 30 "n1 finds the smaller path" path_within n1 1392 1400
    until_true 30 "n2 finds the smaller path" path_within n2 1392 1400
    until_true 10 "the sender of too much is told" told
    until_true 15 "traffic of every size over the smaller path" traffic
    "$1" 1500
    traffic > /dev/null || fail "traffic of every size over the larger path"
    wait $load || fail "TCP over a path that changed"
    python3 - "$work/iperf.json" <<'PYTHON' || fail "TCP came to a standstill"
import json, sys
intervals = json.load(open(sys.argv[1]))["intervals"]
sys.exit(0 if intervals[-1]["sum"]["bytes"] > 0 and intervals[-2]["sum"]["bytes"] > 0 else 1)
PYTHON
}

switch_mtu() { for n in 1 2; do ip -n wire link set "pn$n" mtu "$1"; done; }
configure 192.0.2.1 192.0.2.2
check_shrink switch_mtu
saw_drop n1 tooBig 0 || fail "what was too big is counted"
for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; done
children=()

router_mtu() { for n in 1 2; do ip -n router link set "r$n" mtu "$1"; done; }
configure 198.51.101.1 198.51.102.1
check_shrink router_mtu
echo PASSED
