# What a gateway must refuse from those who hold keys: a stranger, another PSK, a network that is not the peer's.
. "$(dirname "$0")/common.sh"
for n in 1 2 3 4; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; "$VXSEAL" genpsk --output "$work/n$n.psk"; done
peer() { # NAME NUMBER NETWORKS [PSK]
    printf '  - {name: %s, publicKey: "%s", endpoint: "192.0.2.%s:47890", networks: [%s]%s}\n' \
        "$1" "$(cat "$work/$1.pub")" "$2" "$3" "${4:+, presharedKeyFile: $4}"
}
networks() { printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\n  - {vni: 43, addresses: [10.97.0.%s/24]}\npeers:\n' "$1" "$1"; }
{ head_of n1; networks 1; peer n2 2 42 n1.psk; peer n4 4 42; } > "$work/n1.yaml"
{ head_of n2; networks 2; peer n1 1 42 n2.psk; } > "$work/n2.yaml"
{ head_of n3; networks 3; peer n1 1 42; } > "$work/n3.yaml"
{ head_of n4; networks 4; peer n1 1 "42, 43"; } > "$work/n4.yaml"
for n in 1 2 3 4; do up "n$n"; done

until_true 20 "a stranger is counted" saw_drop n1 unknownPeer 0
until_true 20 "another PSK is counted by one side" sh -c "
    [ \"\$($VXSEAL status --json --socket $work/n1.sock | sed -n 's/.*\"handshakeFailed\" : \([0-9]*\).*/\1/p')\" -gt 0 ] ||
    [ \"\$($VXSEAL status --json --socket $work/n2.sock | sed -n 's/.*\"handshakeFailed\" : \([0-9]*\).*/\1/p')\" -gt 0 ]"
until_true 20 "n1 and n4 have a session" established n1
reach n4 10.98.0.1 >/dev/null || fail "the network both are in"
reach n4 10.97.0.1 >/dev/null 2>&1 && fail "frames passed in a network that is not the peer's"
until_true 5 "a foreign VNI is counted" saw_drop n1 vniNotAllowed 0
"$VXSEAL" peers --socket "$work/n1.sock" | grep -q "n2 *established" && fail "a session with another PSK"
"$VXSEAL" peers --socket "$work/n3.sock" | grep -q "n1 *established" && fail "a session of a stranger"
echo PASSED
