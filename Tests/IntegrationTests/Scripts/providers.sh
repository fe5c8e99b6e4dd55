# Which cipher `auto` chooses on this machine, and which can be chosen: told to who runs the scripts with each.
. "$(dirname "$0")/common.sh"
node n1 192.0.2.1 fd00::1; genkey n1; genkey n2
body() { printf 'networks:\n  - vni: 42\npeers:\n'; peer_of n2 192.0.2.2:47890; }
for cipher in libsodium openssl ipsec-mb; do
    { head_of n1; echo "cipher: $cipher"; body; } > "$work/n1.yaml"
    "$VXSEAL" check --allow-volatile-state -c "$work/n1.yaml" > "$work/out" 2>&1 && echo "available: $cipher" ||
        grep -q "cipher $cipher" "$work/out" || fail "$(cat "$work/out")"
done
{ head_of n1; body; } > "$work/n1.yaml"
up n1
echo "auto: $(ask n1 "s['cipher']")"
echo PASSED
