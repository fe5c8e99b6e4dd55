# A rotation is killed before every single step that makes something durable, on the side that rotates and on its peer:
# before each fsync, and each rename, until one goes through untouched. Each time the node starts again, both have their
# session back, and the rotation either goes on to its end or never was.
. "$(dirname "$0")/common.sh"
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n1 n2; do
    m=n$((3 - ${n#n}))
    { head_of "$n"; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "${n#n}"
      peer_of "$m" "192.0.2.${m#n}:47890"; } > "$work/$n.yaml"
    up "$n"
done
both() { established n1 && established n2; }
until_true 20 "a session" both

# killed_at NAME CALL STEP: the daemon is killed as its handshake thread, which writes all state, is about to make the
# STEP-th CALL.
killed_at() {
    local task
    for task in "/proc/${daemons[$1]}/task/"*; do [ "$(cat "$task/comm")" = vxseal-hs ] && break; done
    strace -qq -o /dev/null -p "${task##*/}" -e "trace=$2" -e signal=none -e "inject=$2:signal=KILL:when=$3" & tracer=$!
    children+=("$tracer")
    until_true 10 "strace watches $1" sh -c "! grep -q '^TracerPid:.0$' $task/status"
}
rotation() { "$VXSEAL" rotate status --json --socket "$work/$1.sock"; }
key() { status "$1" | sed -n 's/.*"publicKey" : "\(.*\)".*/\1/p' | tail -1; }
generation() { rotation "$1" | sed -n 's/.*"pskGeneration" : \([0-9]*\).*/\1/p'; }
identity_is_new() { [ "$(key n1)" != "$before" ] && ! rotation n1 | grep -q '"open"' && ! rotation n2 | grep -q '"pendingKey"'; }
psk_is_new() {
    [ "$(generation n1)" -gt "$before" ] && [ "$(generation n1)" = "$(generation n2)" ] &&
        ! rotation n1 | grep -q '"isRotatingPSK" : true' && ! rotation n2 | grep -q '"isRotatingPSK" : true'
}
is_dead() { ! kill -0 "${daemons[$1]}" 2>/dev/null; }
is_dead_or_new() { is_dead "$1" || "${2}_is_new"; }

# every_step VICTIM KIND CALL COMMAND...
every_step() {
    local victim=$1 kind=$2 call=$3 step=0 is_whole=
    shift 3
    until [ $is_whole ]; do
        step=$((step + 1))
        [ $step -le 60 ] || fail "no end of steps: $victim, $kind"
        [ "$kind" = psk ] && before=$(generation n1) || before=$(key n1)
        killed_at "$victim" "$call" "$step"
        "$@" > "$work/out" 2>&1 || true
        until_true 30 "$kind: step $step of $victim is reached, or the end" is_dead_or_new "$victim" "$kind"
        # The tracer goes with its daemon, also in this very moment.
        if ! is_dead "$victim" && kill "$tracer" 2>/dev/null; then is_whole=1; fi
        wait "$tracer" 2>/dev/null || true
        if is_dead "$victim"; then
            is_whole=
            wait "${daemons[$victim]}" 2>/dev/null || true
            until_true 5 "its device is gone" sh -c "! ip -n $victim link show vxs42"
            up "$victim"
        fi
        until_true 30 "$kind: sessions after a kill of $victim at step $step" both
        until_true 20 "$kind: traffic after a kill of $victim at step $step" reach n1 10.98.0.2
        # What was begun ends; what was not leaves nothing behind.
        until_true 60 "$kind: an end after a kill of $victim at step $step" is_settled
        [ ! -e "$work/n1.key.next" ] || fail "step $step: a key file is left behind"
        [ "$("$VXSEAL" pubkey < "$work/n1.key")" = "$(key n1)" ] || fail "step $step: file and daemon have other keys"
    done
    echo "$kind: $victim was killed before each of $((step - 1)) calls of $call, $SECONDS s"
    [ $step -gt 2 ] || fail "too few steps to be all"
}
is_settled() {
    local all
    all=$(rotation n1; rotation n2)
    ! grep -qE '"open"|"pendingKey"|"isRotatingPSK" : true' <<< "$all" && [ "$(generation n1)" = "$(generation n2)" ]
}
for call in fsync rename; do
    for victim in n1 n2; do
        every_step $victim identity $call "$VXSEAL" rotate identity --socket "$work/n1.sock"
        every_step $victim psk $call "$VXSEAL" rotate psk n2 --socket "$work/n1.sock"
    done
done
echo PASSED
