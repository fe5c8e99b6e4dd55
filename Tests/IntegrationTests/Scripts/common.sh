# Shared by the integration scripts. Each runs inside a user, network and mount namespace of its own, so that nothing of
# the host is touched and everything disappears with it. Readiness is polled, never slept for.
set -euo pipefail
work=$(mktemp -d)
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
children=()
trap 'for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done; rm -rf "$work"' EXIT
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

# up NAME: runs the daemon of $work/NAME.yaml in namespace NAME
up() {
    ip netns exec "$1" "$VXSEAL" up --allow-volatile-state -c "$work/$1.yaml" 2>> "$work/$1.log" &
    children+=($!)
    until_true 10 "$1 answers" "$VXSEAL" status --socket "$work/$1.sock"
}

status() { "$VXSEAL" status --json --socket "$work/$1.sock"; }
# ask NAME EXPRESSION: of the status, as Python, in which `s` is the status and `p` its first peer
ask() { status "$1" | python3 -c "import json, sys; s = json.load(sys.stdin); p = s['peers'][0]; print($2)"; }
established() { [ "$(status "$1" | grep -c '"state" : "established"')" -ge "${2:-1}" ]; }
dropped() { status "$1" | sed -n "s/.*\"$2\" : \([0-9]*\).*/\1/p"; }
saw_drop() { [ "$(dropped "$1" "$2")" -gt "$3" ]; }
reach() { ip netns exec "$1" ping -q -c 3 -i 0.05 -W 2 "${@:2}"; }

head_of() {
    printf 'node: %s\nprivateKeyFile: %s.key\nstateDirectory: %s/state-%s\nadminSocket: %s/%s.sock\n' \
        "$1" "$1" "$work" "$1" "$work" "$1"
}
peer_of() { printf '  - name: %s\n    publicKey: "%s"\n    endpoint: "%s"\n    networks: [42]\n' "$1" "$(cat "$work/$1.pub")" "$2"; }
