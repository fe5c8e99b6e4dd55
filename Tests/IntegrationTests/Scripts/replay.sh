# What somebody on the wire can do: record, replay, change, forge. Each is counted for what it is, nothing is answered,
# nothing moves, and the session goes on.
. "$(dirname "$0")/common.sh"
here=$(dirname "$0")
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
for n in 1 2; do
    other=$((3 - n))
    {
        head_of "n$n"
        # One, so that a flood of pings takes the window past whatever was recorded, also what its own lane did not send.
        printf 'lanes: 1\n'
        printf 'plaintextListen: ["0.0.0.0:4789"]\n'
        printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\n' "$n"
        # The plaintext port is open too, for a device that never speaks.
        printf '  - {vni: 43, mode: plaintext}\npeers:\n'
        peer_of "n$other" "192.0.2.$other:47890"
        printf '  - {name: absent, plaintext: true, endpoint: "192.0.2.200:4789", networks: [43]}\n'
    } > "$work/n$n.yaml"
done
wire() { ip netns exec wire python3 "$here/replay.py" "$1" pn2 "$work/frames" "${@:2}"; }

# record FILE TYPE COMMAND...: runs a command while all datagrams are recorded, until one of the type went to n2
record() {
    local file=$work/$1 type=$2 recorder
    shift 2
    rm -f "$file"
    ip netns exec wire python3 "$here/replay.py" capture pn2 "$file" & recorder=$!
    children+=("$recorder")
    until_true 5 "the recorder listens" test -e "$file"
    "$@"
    until_true 20 "a message of type $type was recorded" python3 "$here/replay.py" has lo "$file" "$type"
    kill "$recorder"
    wait "$recorder" 2>/dev/null || true
}
traffic() {
    reach n1 10.98.0.2 >/dev/null && reach n2 10.98.0.1 >/dev/null || fail "no traffic"
}
renew() { "$VXSEAL" rotate session --socket "$work/$1.sock" >/dev/null; }
renewed() { [ "$(status n2 | sed -n 's/.*"handshakes" : \([0-9]*\).*/\1/p' | head -n 1)" -ge 2 ]; }
start() {
    up n1
    until_true 20 "a session" established n2
    renew n1
    until_true 20 "a second session" renewed
    traffic
}
up n2
record frames 1 start

# counted DROP COMMAND...: the command's datagrams and no fewer appear under the drop
counted() {
    local reason=$1 before sent
    before=$(dropped n2 "$reason")
    shift
    sent=$(wire "$@")
    [ "$sent" -gt 0 ] || fail "nothing was sent: $*"
    until_true 5 "$sent times $reason after: $*" saw_drop n2 "$reason" $((before + sent - 1))
    # One answer to a forgery would be one too many.
    reach n1 10.98.0.2 >/dev/null || fail "the session suffers from: $*"
}
peers() { "$VXSEAL" peers --json --socket "$work/n2.sock" | grep -E '"(endpoint|state|publicKey)"'; }
before=$(peers)

counted staleTimestamp send 1 same 1
counted invalidMac1 send 1 flip 1
counted handshakeFailed forge "$(cat "$work/n2.pub")"
record frames 4 traffic
counted replayed send 4 same 3
counted authenticationFailed send 4 flip 3
counted unknownReceiver send 4 index 3
# More than a window of 8192 later the same datagrams are out of it.
ip netns exec n1 ping -q -f -c 9000 10.98.0.2 >/dev/null || fail "a flood of pings"
counted outsideWindow send 4 same 3

# Of no size and no bytes does a gateway answer, on either port.
junk() { wire junk >/dev/null; traffic; }
record junked 4 junk
[ "$(ip netns exec wire python3 "$here/replay.py" answers pn2 "$work/junked")" = 0 ] || fail "junk was answered"
for reason in malformed unknownMessage invalidPlaintext; do
    [ "$(dropped n2 "$reason")" -gt 0 ] || fail "no $reason in junk"
done

# A response nobody waits for.
record frames 2 renew n2
counted unexpectedResponse send 2 same 1

# What bears a peer's receiver index is told of the peer too, what bears nobody's is not.
told() { ask n2 "p['drops'].get('$1', 0)"; }
for reason in replayed authenticationFailed outsideWindow; do
    [ "$(told $reason)" = "$(dropped n2 $reason)" ] || fail "$reason: $(told $reason) of the peer, $(dropped n2 $reason) of all"
done
[ "$(told unknownReceiver)" = 0 ] || fail "a stranger's datagrams are told of the peer"
"$VXSEAL" status --socket "$work/n2.sock" | grep -E "^  dropped: [0-9]+ " > /dev/null || fail "$("$VXSEAL" status --socket "$work/n2.sock")"

[ "$(peers)" = "$before" ] || fail "a peer moved: $before became $(peers)"
echo PASSED
