# A path that carries less than the devices send, and changes: TCP, pings of every size and fragments keep flowing, and
# the sender of what is too big is told. First a switch that drops without a word, then a router that answers by ICMP.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/paths.sh"
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
add_router
configure() { # ENDPOINT-OF-N1 ENDPOINT-OF-N2
    for n in 1 2; do
        { head_of "n$n"; printf 'networks:\n  - vni: 42\n    addresses: [10.98.0.%s/24, "fd98::%s/64"]\npeers:\n' "$n" "$n"
          [ $n = 1 ] && peer_of n2 "$2:47890" || peer_of n1 "$1:47890"; } > "$work/n$n.yaml"
        up "n$n"
    done
    for n in 1 2; do until_true 15 "n$n has a session" established "n$n"; done
}
configure 192.0.2.1 192.0.2.2
check_shrink switch_mtu
saw_drop n1 tooBig 0 || fail "what was too big is counted"
for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; done
children=()

router_mtu() { for n in 1 2; do ip -n router link set "r$n" mtu "$1"; done; }
configure 198.51.101.1 198.51.102.1
check_shrink router_mtu
echo PASSED
