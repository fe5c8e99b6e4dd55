# What an operator asks a running node: ping, status.
. "$(dirname "$0")/common.sh"
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
add_router
for n in 1 2; do
    other=$((3 - n))
    { head_of "n$n"
      printf 'lanes: 2\nnetworks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "$n"
      peer_of "n$other" "198.51.10$other.1:47890"; } > "$work/n$n.yaml"
done
vx() { local node=$1; shift; "$VXSEAL" "$@" --socket "$work/$node.sock"; }

# Before there is a session: said, and not taken for loss.
up n1
vx n1 ping n2 -c 2 -i 0.01 > "$work/ping" && fail "a ping without a session succeeded: $(cat "$work/ping")"
grep -q "no session with it" "$work/ping" && grep -q "0 sent, 0 answered, lost 0" "$work/ping" || fail "$(cat "$work/ping")"
up n2
for n in n1 n2; do until_true 15 "$n has a session" established $n; done

# Whole: all come back, of every size.
for size in 0 56 1100; do
    vx n1 ping n2 -c 20 -i 0.01 -s $size > "$work/ping" || fail "ping: $(cat "$work/ping")"
    grep -q "20 sent, 20 answered, lost 0 (0.0 %): 0 there, 0 back" "$work/ping" || fail "$(cat "$work/ping")"
done
vx n1 ping n2 -c 3 -i 0.01 --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["schema"] == "vxseal.ping/1" and s["answered"] == 3, s
assert 0 < s["minMicroseconds"] <= s["medianMicroseconds"] <= s["maxMicroseconds"], s' || fail "ping --json"
# Wrong use.
vx n1 ping nobody -c 1 2> "$work/err" && fail "pinged nobody"
grep -q "no peer has the name nobody" "$work/err" || fail "$(cat "$work/err")"
code=0; vx n1 ping n2 -s 1101 2> "$work/err" || code=$?
[ $code = 2 ] || fail "exit code $code for a size that no request has"

# Each second request is lost on the way there, then each second answer on the way back.
lossy() { # SOURCE
    printf '%s\n' 'table ip t {' 'chain f {' 'type filter hook forward priority 0;' \
        "ip saddr $1 udp dport 47890 numgen inc mod 2 == 0 counter drop" '}' '}' > "$work/loss"
    ip netns exec router nft -f "$work/loss"
}
for way in "198.51.101.1 lostThere" "198.51.102.1 lostBack"; do
    read -r source field <<< "$way"
    lossy "$source"
    vx n1 ping n2 -c 40 -i 0.01 -t 0.5 --json > "$work/ping" || fail "ping with loss: $(cat "$work/ping")"
    ip netns exec router nft delete table ip t
    python3 - "$work/ping" "$field" <<'P' || fail "with loss from $source: $(cat "$work/ping")"
import json, sys
s, field = json.load(open(sys.argv[1])), sys.argv[2]
other = {"lostThere": "lostBack", "lostBack": "lostThere"}[field]
# A report that passes meanwhile takes its turn with the filter.
assert s["sent"] == 40 and 15 <= s[field] <= 25 and s[other] <= 2 and s["answered"] + s[field] + s[other] == 40, s
P
done

# An interrupt ends it with the summary.
"$VXSEAL" ping n2 -i 0.01 --socket "$work/n1.sock" > "$work/ping" & ping=$!; children+=("$ping")
until_true 5 "pings are answered" grep -q "answer 5:" "$work/ping"
kill -INT $ping; wait $ping || fail "an interrupted ping failed"
grep -q "round trip min/avg/median/p99/max" "$work/ping" || fail "no summary: $(cat "$work/ping")"

# The status measures by itself, and sees what flows.
until_true 10 "a round trip is measured" sh -c "'$VXSEAL' status --socket '$work/n1.sock' | grep -q 'round trip: .* ms, least'"
reach n1 10.98.0.2 > /dev/null
ask n1 "s['schema'], s['networks'][0]['traffic']['sentPackets'] > 0, len(s['laneTraffic']), p['rtt']['samples'] > 0" |
    grep -qx "vxseal.status/1 True 2 True" || fail "status: $(status n1)"
[ "$(ask n1 "100 < p['nextRekeySeconds'] + p['keyAgeSeconds'] < 151")" = True ] || fail "next rekey: $(status n1)"
[ "$(ask n1 "sum(l['sent']['frames'] for l in s['laneTraffic']) == p['sent']['frames']")" = True ] || fail "lanes: $(status n1)"
ip netns exec n1 ping -q -f -c 400 -s 1000 10.98.0.2 > /dev/null & flood=$!; children+=("$flood")
until_true 10 "a rate is seen" sh -c "'$VXSEAL' status --socket '$work/n1.sock' | grep -q 'now: .*bit/s received'"
wait $flood

# What would become of a frame.
traced() { # NODE CODE TEXT ARGUMENTS...: trace ends with the code and prints the text
    local node=$1 code=$2 text=$3 got=0
    shift 3
    vx "$node" trace "$@" > "$work/trace" 2> "$work/err" || got=$?
    [ $got = "$code" ] && grep -qF -- "$text" "$work/trace" "$work/err" ||
        fail "trace $* ended with $got, wanted $code and '$text': $(cat "$work/trace" "$work/err")"
}
station=$(ip -n n2 -o link show vxs42 | sed 's/.*ether \([0-9a-f:]*\).*/\1/')
traced n1 0 "=> sent to n2" 10.98.0.1 10.98.0.2
grep -q "^station *$station, by the kernel's neighbour table (vxs42)" "$work/trace" || fail "$(cat "$work/trace")"
grep -q "^database *$station is behind n2 (learned, heard . s ago)" "$work/trace" || fail "$(cat "$work/trace")"
grep -q "^size *packets of up to 1414 bytes go whole" "$work/trace" || fail "$(cat "$work/trace")"
[ "$(awk '{ if (length > 80) print }' "$work/trace")" = "" ] || fail "wider than 80: $(cat "$work/trace")"
traced n1 0 "=> flooded to n2" 10.98.0.1 10.98.0.77
traced n1 0 "=> flooded to n2" 10.98.0.1 ff02::1 --vni 42
traced n1 0 "=> stays on this node" "$station" "$(ip -n n1 -o link show vxs42 | sed 's/.*ether \([0-9a-f:]*\).*/\1/')"
traced n1 0 "1500 bytes are more than the device's MTU of 1414" 10.98.0.1 10.98.0.2 --size 1500
# What the other node would do with it, asked by name of the reason.
traced n1 0 "decided: its device takes it" 10.98.0.1 10.98.0.2 --send --port 80
# A station is held for one of n2's own for a second after it was heard there.
takes_for_loop() {
    reach n1 10.98.0.2 > /dev/null
    grep -qF "it DROPS it: loopSuspected" <<< "$(vx n1 trace "$station" 10.98.0.2 --send || true)"
}
until_true 20 "n2 takes its own station from n1 for a loop" takes_for_loop
before=$(ask n2 "s['networks'][0]['fdb']['learned']")
traced n1 1 "it DROPS it: invalidSource" 03:00:00:00:00:01 10.98.0.2 --send
traced n1 0 "decided: its device takes it" 02:00:00:00:00:99 10.98.0.2 --send
[ "$(ask n2 "s['networks'][0]['fdb']['learned']")" = "$before" ] || fail "n2 learned from a question"
[ "$(ask n2 "sum(s['drops'].values())")" = 0 ] || fail "n2 counts questions as drops: $(status n2)"
traced n1 1 "=> dropped: linkLocal" 10.98.0.1 01:80:c2:00:00:0e
traced n1 1 "no network has VNI 7" 10.98.0.1 10.98.0.2 --vni 7
traced n1 1 "is neither an IP address nor a MAC address" 10.98.0.1 nonsense
vx n1 trace 10.98.0.1 10.98.0.2 --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["schema"] == "vxseal.trace/1" and s["outcome"] == "sent" and s["peers"] == ["n2"], s' || fail "trace --json"

# Every field is documented.
vx n1 ping n2 -c 1 --json > "$work/ping.json"
vx n1 trace 10.98.0.1 10.98.0.2 --json > "$work/trace.json"
for what in status fdb "rotate status"; do vx n1 $what --json > "$work/${what##* }.of-${what%% *}.json"; done
python3 - "$VXSEAL_ROOT/Documentation/json.md" "$work"/*.json <<'P' || fail "fields without documentation"
import json, re, sys
known = set(re.findall(r"^\| `(\w+)`", open(sys.argv[1]).read(), re.M))
def fields(value):
    if isinstance(value, list):
        return set().union(*map(fields, value))
    if not isinstance(value, dict):
        return set()
    # The names in these are reasons and offloads.
    return set(value).union(*(fields(part) for name, part in value.items() if name not in ("drops", "offloads")))
for path in sys.argv[2:]:
    missing = fields(json.load(open(path))) - known
    assert not missing, (path, missing)
P

# The live screen on a terminal that is turned over, made tiny and closed; and in a pipe.
python3 "$(dirname "$0")/terminal.py" "$VXSEAL" "$work/n1.sock" || fail "top on a terminal"
vx n1 top -i 0.2 > "$work/top" || fail "top in a pipe"
grep -q "^n2 *established" "$work/top" || fail "top in a pipe: $(cat "$work/top")"
grep -q "$(printf '\033')" "$work/top" && fail "control sequences in a pipe"
vx n1 top -i 0.1 | head -n 1 > /dev/null

# A peer that is gone takes nothing, and trace says why.
stop n2 TERM
until_true 10 "n1 has lost n2" sh -c "! '$VXSEAL' peers --socket '$work/n1.sock' | grep -q established"
traced n1 1 "=> dropped: noSession" 10.98.0.1 "$station"
echo PASSED
