# Bad clients of the admin socket and the metrics listener: another user, no HTTP, too much, too slow, too many. None of them
# hinders another for long, nor a frame.
. "$(dirname "$0")/common.sh"
measured_pair
clients=(ip netns exec n1 python3 "$(dirname "$0")/clients.py" "$work/n1.sock" 192.0.2.1 9472)

# Another user: the socket's own mode refuses, not that of the directories above it.
chmod 755 "$work"; mkdir /run/open; mount --bind "$work" /run/open
if setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
    as_nobody() { setpriv --reuid 65534 --clear-groups curl -sS -m 5 --unix-socket /run/open/n1.sock http://vxseal/v1/status; }
    as_nobody > "$work/out" 2> "$work/refusal" && fail "another user may ask: $(cat "$work/out")"
    chmod 666 "$work/n1.sock"
    as_nobody > "$work/out" || fail "it was not the mode that refused another user"
    grep -q "\"schema\":\"vxseal.status" "$work/out" || fail "$(cat "$work/out")"
    chmod 600 "$work/n1.sock"
fi
[ "$(stat -c %a "$work/n1.sock")" = 600 ] || fail "mode $(stat -c %a "$work/n1.sock")"

"${clients[@]}" malformed || fail "malformed"

# Fifty clients that ask without pause, on both; every frame arrives meanwhile.
"${clients[@]}" busy > "$work/busy" & busy=$!; children+=("$busy")
until_true 10 "the clients are busy" grep -q busy "$work/busy"
ip netns exec n1 ping -q -c 50 -i 0.02 -W 5 10.98.0.2 > "$work/ping" || fail "$(cat "$work/ping")"
grep -q " 0% packet loss" "$work/ping" || fail "frames are lost: $(cat "$work/ping")"
kill -0 $busy || fail "the clients ended: $(cat "$work/busy")"
kill -TERM $busy; wait $busy || fail "the clients: $(cat "$work/busy")"

# A hundred that say nothing: so many are taken as there are places, and others have their turn when these lose theirs.
before=$(ls "/proc/${daemons[n1]}/fd" | wc -l)
"${clients[@]}" silent > "$work/silent" & silent=$!; children+=("$silent")
until_true 10 "the clients are silent" grep -q connected "$work/silent"
taken() { echo $(($(ls "/proc/${daemons[n1]}/fd" | wc -l) - before)); }
full() { [ "$(taken)" -ge 100 ]; }
until_true 5 "connections are taken" full
[ "$(taken)" -le 128 ] || fail "$(taken) connections instead of 64 on each listener"
reach n1 10.98.0.2 > /dev/null || fail "frames with all places taken"
until_true 25 "the admin socket answers" "$VXSEAL" status --socket "$work/n1.sock"
until_true 25 "the metrics listener answers" ip netns exec n1 curl -sf -m 20 http://192.0.2.1:9472/healthz
[ "$(taken)" -le 128 ] || fail "$(taken) connections instead of 64 on each listener"
kill -TERM $silent
reach n1 10.98.0.2 > /dev/null || fail "frames afterwards"
echo PASSED
