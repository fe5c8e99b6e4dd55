# Shared by the integration scripts. Each runs inside a user, network and mount namespace of its own, so that nothing of
# the host is touched and everything disappears with it. Readiness is polled, never slept for.
set -euo pipefail
work=$(mktemp -d)
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
children=()
declare -A daemons
# What is mounted below would be removed with it: rm spares other file systems, but not a bind mount of the same one.
remove_work() {
    local points
    points=$(awk -v below="$work/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | tac)
    [ -z "$points" ] || xargs -r umount -l <<< "$points" || return 0
    rm -rf --one-file-system "$work"
}
trap 'for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done; remove_work' EXIT
trap 'exit 1' TERM INT

fail() { echo "FAILED: $*" >&2; tail -n 20 "$work"/*.log >&2 2>/dev/null || true; exit 1; }

# until_true SECONDS WHAT COMMAND...
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "not within time: $what"
        read -rt 0.05 <> <(:) || true
    done
}

# A switch in the middle, one namespace a node: node NAME IPV4 IPV6
ip netns add wire
ip -n wire link add br0 type bridge
ip -n wire link set br0 up
node() {
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip link add u netns "$1" type veth peer name "p$1" netns wire
    ip -n wire link set "p$1" master br0 up
    ip -n "$1" link set u up
    ip -n "$1" addr add "$2/24" dev u
    ip -n "$1" addr add "$3/64" dev u nodad
}

# A router between n1 (198.51.101.1) and n2 (198.51.102.1), beside the switch; its own addresses end in 254.
add_router() {
    local n
    ip netns add router
    for n in 1 2; do
        ip link add "r$n" netns router type veth peer name r netns "n$n"
        ip -n router addr add "198.51.10$n.254/24" dev "r$n"
        ip -n router link set "r$n" up
        ip -n "n$n" addr add "198.51.10$n.1/24" dev r
        ip -n "n$n" link set r up
        ip -n "n$n" route add 198.51.100.0/22 via "198.51.10$n.254"
    done
    ip netns exec router sysctl -qw net.ipv4.ip_forward=1
}

# genkey NAME: makes $work/NAME.key and $work/NAME.pub
genkey() {
    "$VXSEAL" genkey --output "$work/$1.key"
    "$VXSEAL" pubkey < "$work/$1.key" > "$work/$1.pub"
}

# up NAME: runs the daemon of $work/NAME.yaml in namespace NAME, by way of $launcher if that is set, and sees that it runs
# with the settings of this run
up() {
    ip netns exec "$1" ${launcher:-} "$VXSEAL" up --allow-volatile-state ${example_keys:-} -c "$work/$1.yaml" 2>> "$work/$1.log" &
    daemons[$1]=$!
    children+=($!)
    until_true 10 "$1 answers" "$VXSEAL" status --socket "$work/$1.sock"
    [ -z "${VXSEAL_TEST_EXPECTED:-}" ] || [ "$(ask "$1" "$VXSEAL_TEST_EXPECTED")" = True ] ||
        fail "$1 does not run with the settings of this run, $VXSEAL_TEST_EXPECTED: $(status "$1")"
}

# stop NAME SIGNAL: ends the daemon of a node, which was started by up
stop() { kill "-$2" "${daemons[$1]}"; wait "${daemons[$1]}" 2>/dev/null || true; }

status() { "$VXSEAL" status --json --socket "$work/$1.sock"; }
# ask NAME EXPRESSION: of the status, as Python, in which `s` is the status and `p` its first peer
ask() { status "$1" | python3 -c "import json, sys; s = json.load(sys.stdin); p = s['peers'][0]; print($2)"; }
established() { [ "$(status "$1" | grep -c '"state" : "established"')" -ge "${2:-1}" ]; }
# The node's sum comes first, then each lane's share.
dropped() { status "$1" | awk -v reason="\"$2\"" '$1 == reason && !seen++ { print $3 + 0 }'; }
saw_drop() { [ "$(dropped "$1" "$2")" -gt "$3" ]; }
reach() { ip netns exec "$1" ping -q -c 3 -i 0.05 -W 2 "${@:2}"; }

# every_size FROM TO ADDRESS LARGEST...: UDP and TCP of every size from 0 bytes on, there and back
every_size() {
    local from=$1 to=$2 scripts
    scripts=$(dirname "${BASH_SOURCE[0]}")
    shift 2
    ip netns exec "$to" python3 "$scripts/echo.py" serve 7777 & children+=($!)
    until_true 5 "the echo listens" sh -c "ip netns exec $to ss -ltn | grep -q :7777"
    while [ $# -gt 0 ]; do
        ip netns exec "$from" python3 "$scripts/echo.py" ask "$1" 7777 "$2" || fail "every size from $from to $1"
        shift 2
    done
    kill "${children[-1]}"; wait "${children[-1]}" 2>/dev/null || true
}

# all_answer FROM DEVICE GROUP ADDRESS...: a ping to a group reaches each of the addresses, and exactly once
all_answer() {
    local from=$1 device=$2 group=$3 address count
    shift 3
    # ping ends with the first answer to the sixth, so only five are counted.
    ip netns exec "$from" ping -n -b -c 6 -i 0.2 -W 2 -I "$device" "$group" > "$work/group" 2>&1 || true
    for address in "$@"; do
        count=$(grep -cE "from $address(%$device)?: icmp_seq=[1-5] " "$work/group" || true)
        [ "$count" = 5 ] || fail "$count answers of $address to 5 pings of $group: $(cat "$work/group")"
    done
}
answer_groups() { ip netns exec "$1" sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0; }
link_local() { ip -n "$1" -6 -o addr show dev "$2" scope link | sed 's/.*inet6 \([0-9a-f:]*\).*/\1/'; }

# head_of NAME: the first lines of a node's YAML, and VXSEAL_TEST_SETTINGS, which every node of a run has
head_of() {
    printf 'node: %s\nprivateKeyFile: %s.key\nstateDirectory: %s/state-%s\nadminSocket: %s/%s.sock\n%s\n' \
        "$1" "$1" "$work" "$1" "$work" "$1" "${VXSEAL_TEST_SETTINGS:-}"
}
peer_of() { printf '  - name: %s\n    publicKey: "%s"\n    endpoint: "%s"\n    networks: [42]\n' "$1" "$(cat "$work/$1.pub")" "$2"; }

# measured_pair: n1 and n2 with a session, a sealed network 42 and a mixed one 43, metrics on port 9472 of each
measured_pair() {
    local n
    for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
    for n in 1 2; do
        { head_of "n$n"; printf 'metrics: "192.0.2.%s:9472"\nnetworks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\n' "$n" "$n"
          printf '  - {vni: 43, mode: mixed, relay: true, flood: known-multicast}\npeers:\n'
          peer_of "n$((3 - n))" "192.0.2.$((3 - n)):47890"
          printf '  - {name: leaf, plaintext: true, endpoint: "192.0.2.9:4789", networks: [43]}\n'; } > "$work/n$n.yaml"
        up "n$n"
    done
    for n in n1 n2; do until_true 15 "$n has a session" established "$n"; done
}
