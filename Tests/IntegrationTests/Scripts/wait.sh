# What `rotate identity --wait` says: who switched from which key to which, how long it took, what was sent and lost; and
# when it must end with 1: frames were lost, a peer did not switch, the key file is not the daemon's any more. Then the
# log: what can happen a thousand times a second is told once.
. "$(dirname "$0")/common.sh"
for n in n1 n2 n3; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n1 n2 n3; do
    { head_of "$n"; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "${n#n}"
      for m in n1 n2 n3; do [ $m = $n ] || peer_of $m "192.0.2.${m#n}:47890"; done; } > "$work/$n.yaml"
    up "$n"
done
for n in n1 n2 n3; do until_true 20 "sessions of $n" established "$n" 2; done
key() { status "$1" | sed -n 's/.*"publicKey" : "\(.*\)".*/\1/p' | tail -1; }
rotate() { # EXIT-CODE ARGUMENTS...: rotates n1's identity
    local expected=$1 code=0
    shift
    "$VXSEAL" rotate identity "$@" --socket "$work/n1.sock" > "$work/out" 2>&1 || code=$?
    [ $code = "$expected" ] || fail "exit code $code instead of $expected: $(cat "$work/out")"
}
said() { grep -qE "$1" "$work/out" || fail "the command did not say '$1': $(cat "$work/out")"; }

old=$(key n1)
rotate 0 --wait
new=$(key n1)
for peer in n2 n3; do
    said "^$peer: told of the new key|^$peer: has stored|^$peer: switched"
    said "^$peer +$(printf %.8s "$old" | sed 's/[+]/\\+/g') +$(printf %.8s "$new" | sed 's/[+]/\\+/g') +[0-9.]+ s +[0-9]+ +0 *$"
done
"$VXSEAL" rotate identity --wait --json --socket "$work/n1.sock" > "$work/out" || fail "with --json: $(cat "$work/out")"
python3 -c 'import json, sys
peers = json.load(open(sys.argv[1]))["peers"]
assert len(peers) == 2 and all(p["measured"]["isSettled"] and p["measured"]["lost"] == 0 for p in peers)' "$work/out" ||
    fail "$(cat "$work/out")"

# Frames are lost on the way to n2 while it rotates.
sent() { status n1 | python3 -c 'import json, sys
print(next(p["sent"]["frames"] for p in json.load(sys.stdin)["peers"] if p["name"] == "n2"))'; }
sent_more() { [ "$(sent)" -gt "$1" ]; }
ip netns exec n1 "$VXSEAL" demo-traffic send 10.98.0.2:7000 4000 400 > /dev/null & children+=($!)
until_true 5 "traffic" sent_more $(($(sent) + 100))
"$VXSEAL" rotate identity --wait --socket "$work/n1.sock" > "$work/out" 2>&1 & rotating=$!
until_true 5 "the rotation is begun" sh -c "$VXSEAL rotate status --json --socket $work/n1.sock | grep -q isFinished"
ip -n wire link set pn2 down
until_true 5 "frames got lost" sent_more $(($(sent) + 200))
ip -n wire link set pn2 up
code=0; wait $rotating || code=$?
[ $code = 1 ] || fail "exit code $code though frames were lost: $(cat "$work/out")"
said "^n2 .* s +[0-9]+ +[1-9][0-9]* *$"
said "not every peer switched without loss"
lost() { status n1 | grep -A 3 '"lost"' | grep -q '"sent" : [1-9]'; }
lost || fail "status knows of no loss: $(status n1)"

# A peer is down until the overlap is over.
until_true 20 "no rotation is open" sh -c "$VXSEAL rotate status --socket $work/n1.sock | grep -q 'no rotation'"
stop n3 TERM
rotate 1 --wait --overlap 3s
said "^n3 .*not switched"
said "^n2 .* s +[0-9]+ +0 *$"
grep -q "still knows the old key alone" "$work/n1.log" || fail "the log does not name who was left behind"

# Another key in the file than the daemon uses.
cp -p "$work/n1.key" "$work/kept.key"
rm "$work/n1.key"; "$VXSEAL" genkey --output "$work/n1.key"
rotate 1 --wait
said "no longer holds the key that this daemon uses"
[ ! -e "$work/n1.key.next" ] || fail "a key file is left behind"
mv "$work/kept.key" "$work/n1.key"
rotate 1 --wait --overlap 3s
said "^n3 .*not switched"

# Ten thousand bad datagrams to each port, one line each kind.
flood() { ip netns exec n3 python3 - <<'P'
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(10000):
    sender.sendto(b"\x01\0\0\0" + bytes(1348), ("192.0.2.1", 47890))
    sender.sendto(b"\x09", ("192.0.2.1", 47890))
    if number % 100 == 0:
        sender.sendto(b"\x04\0\0\0nobody's receiver index here", ("192.0.2.1", 47890))
P
}
before=$(dropped n1 invalidMac1)
flood
until_true 10 "the flood is counted" saw_drop n1 invalidMac1 $((before + 100))
for reason in invalidMac1 unknownMessage unknownReceiver; do
    until_true 5 "$reason is in the log" grep -q "drop=$reason" "$work/n1.log"
done
flood
until_true 5 "traffic goes on" reach n1 10.98.0.2
[ "$(grep -c drop=invalidMac1 "$work/n1.log")" = 1 ] || fail "$(grep drop= "$work/n1.log")"
echo PASSED
