# Three sealed nodes in one VNI: frames of all sizes, both families, learning, flooding, rotation, bad datagrams,
# underlay down and up, restart, clean-up.
. "$(dirname "$0")/common.sh"
for n in 1 2 3; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
for n in 1 2 3; do
    { head_of "n$n"; printf 'networks:\n  - vni: 42\n    addresses: [10.98.0.%s/24, "fd98::%s/64"]\npeers:\n' "$n" "$n"
      for m in 1 2 3; do [ $m = $n ] || peer_of "n$m" "192.0.2.$m:47890"; done; } > "$work/n$n.yaml"
    up "n$n"
done
for n in 1 2 3; do until_true 15 "n$n has both sessions" established "n$n" 2; done

for size in 1 56 500 1386; do reach n1 -s $size -M do 10.98.0.2 >/dev/null || fail "IPv4, $size bytes"; done
reach n1 -s 1366 -M do fd98::3 >/dev/null || fail "IPv6, full size"
reach n2 -s 4000 10.98.0.3 >/dev/null || fail "fragments"
every_size n1 n2 10.98.0.2 1386 fd98::2 1366
for n in n1 n2 n3; do answer_groups $n; done
all_answer n1 vxs42 10.98.0.255 10.98.0.2 10.98.0.3
all_answer n2 vxs42 224.0.0.1 10.98.0.1 10.98.0.3
all_answer n3 vxs42 ff02::1 "$(link_local n1 vxs42)" "$(link_local n2 vxs42)"
"$VXSEAL" fdb --socket "$work/n1.sock" | grep -q "n2 .*learned" || fail "n1 has learned no station behind n2"
"$VXSEAL" fdb --socket "$work/n1.sock" | grep -q "n3 .*learned" || fail "n1 has learned no station behind n3"

ip netns exec n2 iperf3 -s -1 -p 5202 >/dev/null 2>&1 & children+=($!)
until_true 5 "iperf3 listens" sh -c "ip netns exec n2 ss -ltn | grep -q 5202"
ip netns exec n1 iperf3 -c 10.98.0.2 -p 5202 -t 3 > "$work/iperf.log" 2>&1 & load=$!; children+=("$load")
for _ in 1 2 3 4 5; do
    before=$(status n1 | grep -o '"handshakes" : [0-9]*' | head -1 | grep -o '[0-9]*$')
    "$VXSEAL" rotate session n2 --socket "$work/n1.sock" >/dev/null
    until_true 10 "a rotation under load" sh -c "[ \"\$(\"$VXSEAL\" status --json --socket $work/n1.sock | grep -o '\"handshakes\" : [0-9]*' | head -1 | grep -o '[0-9]*\$')\" -gt $before ]"
done
wait $load || fail "TCP under rotation"

send() { ip netns exec n3 bash -c "printf '$1' > /dev/udp/192.0.2.1/47890"; }
check_drop() { local before; before=$(dropped n1 "$1"); send "$2"; until_true 5 "drop $1" saw_drop n1 "$1" "$before"; }
check_drop unknownMessage '\x09garbage'
check_drop malformed '\x04short'
check_drop malformed '\x01short'
check_drop reservedNotZero '\x04\x00\x01\x00aaaabbbbccccddddeeeeffffgggghhhh'
check_drop unknownReceiver '\x04\x00\x00\x00aaaabbbbccccddddeeeeffffgggghhhh'
check_drop invalidMac1 "\\x01\\x00\\x00\\x00$(head -c 1348 /dev/zero | tr '\0' a)"
reach n1 10.98.0.2 >/dev/null || fail "sessions after bad datagrams"

ip -n wire link set pn2 down
ip -n wire link set pn2 up
until_true 30 "traffic after the underlay was down" reach n1 10.98.0.2

stop n2 KILL
until_true 5 "the device of a killed daemon is gone" sh -c "! ip -n n2 link show vxs42"
up n2
until_true 20 "traffic after a restart" reach n1 10.98.0.2

first=${daemons[n1]}
kill -TERM "$first"; wait "$first" || fail "exit code after SIGTERM: $?"
ip -n n1 link show vxs42 2>/dev/null && fail "the device outlived the daemon"
[ ! -e "$work/n1.sock" ] || fail "the admin socket outlived the daemon"
echo PASSED
