# A kernel that refuses what a lane would like to have: either the slow path, which status shows, with traffic as ever, or an
# end that names the call and what the kernel said.
. "$(dirname "$0")/common.sh"
here=$(dirname "$0")
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n1 n2; do
    { head_of "$n"; printf 'lanes: 2\nnetworks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\n' "${n#n}"
      printf '  - {vni: 43, mode: plaintext}\npeers:\n'
      peer_of "n$((3 - ${n#n}))" "192.0.2.$((3 - ${n#n})):47890"; } > "$work/$n.yaml"
done
up n2

traffic() { # WHAT
    until_true 20 "$1: a session" established n1
    for size in 56 1386 6000; do
        reach n1 -s $size 10.98.0.2 > /dev/null || fail "$1: $size bytes"
    done
    local pair from to
    for pair in "n1 n2" "n2 n1"; do
        read -r from to <<< "$pair"
        ip netns exec "$to" iperf3 -s -1 > /dev/null 2>&1 & children+=($!)
        until_true 5 "iperf3 listens" sh -c "ip netns exec $to ss -ltn | grep -q 5201"
        ip netns exec "$from" timeout 60 iperf3 -c "10.98.0.${to#n}" -P 4 -n 8M > "$work/iperf.log" 2>&1 ||
            fail "$1: TCP from $from to $to: $(cat "$work/iperf.log")"
    done
    [ "$(dropped n1 sendFailed)" -le "${2:-0}" ] || fail "$1: datagrams did not leave: $(status n1)"
    for reason in malformed authenticationFailed invalidOffload deviceFailed; do
        [ "$(dropped n1 $reason)$(dropped n2 $reason)" = 00 ] || fail "$1: $reason: $(status n1)"
    done
}

# goes_on STATUS REFUSED...: n1 runs as STATUS says (Python), and traffic flows
goes_on() {
    local expected=$1
    shift
    launcher="python3 $here/refuse.py $* --" up n1
    [ "$(ask n1 "$expected")" = True ] || fail "$*: not $expected: $(status n1)"
    traffic "$*"
    stop n1 TERM
}
state() { echo "s['offloads']['$1'] == '$2'"; }
goes_on "$(state tapTso missing) and $(state tapUso missing)" ioctl:TUNSETOFFLOAD EINVAL
goes_on "s['steering'] == 'kernel'" ioctl:TUNSETSTEERINGEBPF EINVAL
goes_on "s['steering'] == 'kernel'" bpf EPERM
goes_on "$(state udpSegment missing) and $(state udpGro on)" setsockopt:IPPROTO_UDP:UDP_SEGMENT ENOPROTOOPT
goes_on "$(state udpGro missing) and $(state udpSegment on)" setsockopt:IPPROTO_UDP:UDP_GRO ENOPROTOOPT
goes_on "s['lanes'] == 2" setsockopt:SOL_SOCKET:SO_RCVBUFFORCE EPERM setsockopt:SOL_SOCKET:SO_SNDBUFFORCE EPERM
goes_on "$(state tapTso missing) and $(state udpGro missing) and $(state udpSegment missing)" ioctl:TUNSETOFFLOAD EINVAL \
    setsockopt:IPPROTO_UDP:UDP_GRO ENOPROTOOPT setsockopt:IPPROTO_UDP:UDP_SEGMENT ENOPROTOOPT bpf ENOSYS

# ends WORDS REFUSED...: n1 does not start, says so, and leaves nothing behind
ends() {
    local words=$1 code=0
    shift
    ip netns exec n1 timeout 20 python3 "$here/refuse.py" "$@" -- "$VXSEAL" up --allow-volatile-state -c "$work/n1.yaml" \
        > "$work/out" 2>&1 || code=$?
    [ $code = 1 ] || fail "$*: exit code $code: $(cat "$work/out")"
    grep -q "$words" "$work/out" || fail "$*: the message lacks '$words': $(cat "$work/out")"
    ip -n n1 link show vxs42 > /dev/null 2>&1 && fail "$*: a device was left behind"
    [ ! -e "$work/n1.sock" ] || fail "$*: a socket was left behind"
}
ends "ioctl TUNSETIFF: Operation not permitted" ioctl:TUNSETIFF EPERM
ends "ioctl TUNSETVNETHDRSZ: Invalid argument" ioctl:TUNSETVNETHDRSZ EINVAL
ends "setsockopt SO_ATTACH_REUSEPORT_CBPF: Operation not permitted" setsockopt:SOL_SOCKET:SO_ATTACH_REUSEPORT_CBPF EPERM
ends "setsockopt SO_ATTACH_FILTER: Cannot allocate memory" setsockopt:SOL_SOCKET:SO_ATTACH_FILTER ENOMEM

# Refused now and then, once all is set up: every tenth call that sends, every third that receives.
# now_and_then CALL ERRNO WHEN: what strace makes of n1's lanes
now_and_then() {
    strace -qq -f -o /dev/null -p "${daemons[n1]}" -e "trace=$1" -e signal=none -e "inject=$1:error=$2:when=$3" & tracer=$!
    children+=("$tracer")
    until_true 10 "strace watches n1" sh -c "! grep -q '^TracerPid:.0$' /proc/${daemons[n1]}/status"
}
calm() { kill "$tracer"; wait "$tracer" 2>/dev/null || true; }
up n1
traffic "before"
now_and_then sendmmsg EIO 10+10
# A run that is refused leaves datagram by datagram; a single datagram is lost, which counts.
traffic "sendmmsg now and then EIO" 100000
[ "$(ask n1 "$(state udpSegment retreated)")" = True ] || fail "no retreat after EIO: $(status n1)"
calm
traffic "after EIO" "$(dropped n1 sendFailed)"
stop n1 TERM
up n1
for code in ECONNREFUSED ENOMEM EHOSTUNREACH; do
    now_and_then recvmmsg $code 3+3
    traffic "recvmmsg now and then $code"
    calm
done
[ "$(ask n1 "set(s['offloads'].values()) == {'on'}")" = True ] || fail "an error of a receiver changed: $(status n1)"
echo PASSED
