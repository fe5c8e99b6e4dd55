# Shared by what tests paths that change: gateways n1 and n2, and who talks through them, `left` 10.98.0.1 and fd98::1 with
# `right` 10.98.0.2 and fd98::2, which are the gateways themselves or stations on bridges behind them.
left=n1 right=n2
switch_mtu() { for n in 1 2; do ip -n wire link set "pn$n" mtu "$1"; done; }
path_mtu() { status "$1" | sed -n 's/.*"pathMTU" : \([0-9]*\).*/\1/p'; }
path_within() { local mtu; mtu=$(path_mtu "$1"); [ "${mtu:-0}" -ge "$2" ] && [ "$mtu" -le "$3" ]; }
told() { # the kernel of the left has been told a smaller MTU towards the right, in either family
    ip netns exec $left ping -q -c 1 -W 1 -M do -s 1386 10.98.0.2 > /dev/null 2>&1 || true
    ip netns exec $left ping -q -c 1 -W 1 -M do -s 1366 fd98::2 > /dev/null 2>&1 || true
    ip -n $left route get 10.98.0.2 | grep -q "mtu 1[23]" && ip -n $left route get fd98::2 | grep -q "mtu 1[23]"
}
# Every kind of size: small, full with DF as ping sets it, full without DF, a packet of fragments; both ways, both families.
traffic() {
    reach $left -s 56 10.98.0.2 && reach $left -s 1386 10.98.0.2 && reach $left -M dont -s 1386 10.98.0.2 &&
        reach $left -s 6000 10.98.0.2 && reach $right -s 1386 10.98.0.1 && reach $left -s 1366 fd98::2 &&
        reach $right -s 1366 fd98::1
}

# Bytes of TCP that the right has acknowledged, on all connections to iperf3.
acknowledged() {
    ip netns exec $left ss -Htin dst 10.98.0.2 dport = :5201 | grep -o 'bytes_acked:[0-9]*' |
        awk -F: '{ sum += $2 } END { printf "%d", sum }'
}
flows_on() { [ "$(acknowledged)" -gt $(($1 + 1000000)) ]; }

check_shrink() { # COMMAND THAT SETS THE PATH'S MTU TO ITS ARGUMENT
    until_true 15 "the whole interface MTU is found" path_within n1 1500 1500
    reach $left -s 1386 -M do 10.98.0.2 > /dev/null || fail "full size before"
    ip netns exec $right iperf3 -s -1 -p 5201 > /dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec $right ss -ltn | grep -q 5201"
    # One connection, for as long as it takes.
    ip netns exec $left iperf3 -c 10.98.0.2 -p 5201 -t 600 -b 50M > "$work/iperf.log" 2>&1 & load=$!; children+=("$load")
    "$1" 1400
    until_true 30 "n1 finds the smaller path" path_within n1 1392 1400
    until_true 30 "n2 finds the smaller path" path_within n2 1392 1400
    until_true 10 "the sender of too much is told" told
    until_true 15 "traffic of every size over the smaller path" traffic
    "$1" 1500
    traffic > /dev/null || fail "traffic of every size over the larger path"
    kill -0 $load 2>/dev/null || fail "TCP ended over a path that changed: $(cat "$work/iperf.log")"
    before=$(acknowledged)
    [ "$before" -gt 0 ] || fail "TCP has carried nothing"
    until_true 15 "TCP goes on over the larger path" flows_on "$before"
    kill $load; wait $load 2>/dev/null || true
}

