# What systemd is told: ready when commands are answered, reloads, the end; and signs of life for as long as every thread
# turns, no longer.
. "$(dirname "$0")/common.sh"
python3 "$(dirname "$0")/notified.py" "$work/notify" "$work/told" & children+=($!)
until_true 5 "the supervisor listens" test -S "$work/notify"
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n1 n2; do
    m=n$((3 - ${n#n}))
    { head_of "$n"; printf 'lanes: 2\nnetworks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "${n#n}"
      peer_of "$m" "192.0.2.${m#n}:47890"; } > "$work/$n.yaml"
done
told() { grep -qx "$1" "$work/told"; }
count() { grep -cx "$1" "$work/told" || true; }
more() { [ "$(count "$1")" -gt "$2" ]; }

# A second, so that a lane that sleeps for a second without traffic would be found hanging if it were not woken.
launcher="env NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1000000" up n1
until_true 10 "ready" told 'READY=1|STATUS=n1: 0 of 1 sealed peers established, 1 networks'
[ "$(grep -n READY=1 "$work/told" | head -1)" = "$(grep -nE 'READY=1|STATUS|STOPPING' "$work/told" | head -1)" ] ||
    fail "something came before ready: $(cat "$work/told")"
up n2
until_true 20 "the peers are counted" told 'STATUS=n1: 1 of 1 sealed peers established, 1 networks'
until_true 10 "signs of life" more 'WATCHDOG=1' 3

# SIGHUP, as `systemctl reload` sends it: MONOTONIC_USEC is not before the signal.
before=$(python3 -c 'import time; print(time.monotonic_ns() // 1000)')
kill -HUP "${daemons[n1]}"
until_true 10 "the reload ends" more 'READY=1' 0
at=$(sed -n 's/^RELOADING=1|MONOTONIC_USEC=//p' "$work/told")
[ "$at" -ge "$before" ] || fail "RELOADING at $at, signal after $before"
sed -n '/^RELOADING/,$p' "$work/told" | grep -qx READY=1 || fail "no READY after RELOADING"
# One that is refused ends too.
cp "$work/n1.yaml" "$work/good.yaml"
echo 'nonsense: 1' >> "$work/n1.yaml"
"$VXSEAL" reload --socket "$work/n1.sock" 2>/dev/null && fail "nonsense was taken"
[ "$(count 'RELOADING=1|MONOTONIC_USEC=.*')" = 2 ] && [ "$(count READY=1)" = 2 ] || fail "reloads: $(cat "$work/told")"
cp "$work/good.yaml" "$work/n1.yaml"

# A thread that hangs in a call, whichever: no sign until it turns again.
task() { local t; for t in "/proc/${daemons[n1]}/task/"*; do [ "$(cat "$t/comm")" = "$1" ] && echo "${t##*/}"; done; }
if strace -qq -o /dev/null true 2>/dev/null; then
    for name in vxseal-lane1 vxseal-hs; do
        strace -qq -o /dev/null -p "$(task $name)" -e signal=none -e 'inject=/^epoll_p?wait:delay_enter=600s' 2>/dev/null &
        tracer=$!
        children+=("$tracer")
        until_true 20 "$name is found hanging" told "STATUS=hangs: $name"
        kill -KILL "$tracer"; wait "$tracer" 2>/dev/null || true
        lines=$(grep -nx "STATUS=hangs: $name" "$work/told" | tail -1 | cut -d: -f1)
        until_true 20 "signs of life after $name" sh -c "tail -n +$lines '$work/told' | grep -qx WATCHDOG=1"
        next=$(tail -n +$((lines + 1)) "$work/told" | head -1)
        case $next in
        'STATUS=n1: '*) ;;
        *) fail "after $name was found hanging came: $next" ;;
        esac
    done
else
    echo "skipped: nothing may be traced here, so no thread is made to hang"
fi
up_count=$(count WATCHDOG=1)
until_true 10 "signs of life go on" more 'WATCHDOG=1' "$up_count"
stop n1 TERM
until_true 5 "the end is told" told STOPPING=1
stop n2 TERM
echo PASSED
