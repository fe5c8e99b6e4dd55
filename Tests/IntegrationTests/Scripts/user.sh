# A node as vxseal@.service starts it: a user that is not root and has two capabilities, who sees nothing in /proc but itself.
. "$(dirname "$0")/common.sh"
cat > "$work/unit" <<'END'
#!/bin/bash
set -e
mount -t proc -o hidepid=invisible,subset=pid proc /proc
mount -t tmpfs tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
exec setpriv --reuid 12345 --regid 12345 --clear-groups --no-new-privs --bounding-set -all,+net_admin,+bpf \
    --inh-caps -all,+net_admin,+bpf --ambient-caps +net_admin,+bpf "$@"
END
chmod +x "$work/unit"
if ! unshare -m "$work/unit" true 2> "$work/said"; then
    echo "skipped: no other user can be had here: $(cat "$work/said")"
    echo PASSED
    exit
fi
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
# What the unit and its directories give to the user.
mkdir "$work/own"
mv "$work/n2.key" "$work/own"
chown -R 12345:12345 "$work/own"
chmod 711 "$work"
ln -s own/n2.sock "$work/n2.sock"
{ head_of n1; printf 'lanes: 2\nnetworks:\n  - {vni: 42, addresses: [10.98.0.1/24]}\npeers:\n'
  peer_of n2 192.0.2.2:47890; } > "$work/n1.yaml"
{ printf 'node: n2\nprivateKeyFile: own/n2.key\nstateDirectory: %s/own/state\nadminSocket: %s/own/n2.sock\n%s\n' \
      "$work" "$work" "${VXSEAL_TEST_SETTINGS:-}"
  printf 'lanes: 2\nnetworks:\n  - {vni: 42, addresses: [10.98.0.2/24]}\npeers:\n'
  peer_of n1 192.0.2.1:47890; } > "$work/n2.yaml"
up n1
launcher="unshare -m $work/unit" up n2
[ "$(ask n2 "s['sandbox']['problems']")" = '[]' ] || fail "the sandbox has gaps: $(status n2)"
[ "$(ask n2 "s['sandbox']['capabilities']")" = "['CAP_NET_ADMIN']" ] || fail "capabilities: $(status n2)"
# Root may steer flows where the user could not without CAP_BPF.
[ "$(ask n2 "s['steering']")" = "$(ask n1 "s['steering']")" ] || fail "steering: $(status n2)"
until_true 20 "a session" established n2
until_true 20 "traffic" reach n2 10.98.0.1
"$VXSEAL" rotate identity --wait --socket "$work/n2.sock" > /dev/null || fail "no rotation of the identity"
sed -i 's/{vni: 42, addresses: .10.98.0.2.24.}/{vni: 42, addresses: [10.98.0.2\/24]}\n  - {vni: 43, addresses: [10.99.0.2\/24]}/' "$work/n2.yaml"
"$VXSEAL" reload --socket "$work/n2.sock" || fail "no reload"
ip -n n2 link show vxs43 > /dev/null || fail "the reload made no device"
until_true 20 "traffic after all that" reach n2 10.98.0.1
stop n2 TERM
grep -q 'vxseal has ended' "$work/n2.log" || fail "no clean end"
echo PASSED
