# Peers that move, one that may not, one that is learned when it calls; and a state directory that cannot be written.
. "$(dirname "$0")/common.sh"
for n in n1 n2 n3 n4; do node $n "192.0.2.${n#n}" "fd00::${n#n}"; genkey $n; done
{ head_of n1; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.1/24]}\npeers:\n'
  peer_of n2 192.0.2.2:47890
  peer_of n3 192.0.2.3:47890; echo '    roaming: false'
  peer_of n4 192.0.2.4:47890 | grep -v endpoint; } > "$work/n1.yaml"
for n in n2 n3 n4; do
    { head_of $n; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "${n#n}"
      peer_of n1 192.0.2.1:47890; } > "$work/$n.yaml"
done
mkdir "$work/state-n1"
mount -t tmpfs -o size=64k tmpfs "$work/state-n1"
for n in n1 n2 n3 n4; do up $n; done
until_true 20 "three sessions, one with a peer whose endpoint nobody told" established n1 3
endpoint() { "$VXSEAL" peers --socket "$work/n1.sock" | sed -n "s/^$1 .* \([0-9.]*:[0-9]*\) .*/\1/p"; }
[ "$(endpoint n4)" = 192.0.2.4:47890 ] || fail "the learned endpoint is $(endpoint n4)"
for n in n2 n3 n4; do reach $n 10.98.0.1 > /dev/null || fail "traffic of $n"; done

# New addresses: the old one is gone before the new one is there.
move() {
    ip -n "$1" addr del "192.0.2.${1#n}/24" dev u
    ip -n "$1" addr add "192.0.2.$2/24" dev u
}
move n2 22; move n3 33; move n4 44
until_true 20 "n2 goes on from its new address" reach n2 10.98.0.1
until_true 20 "so does the learned peer" reach n4 10.98.0.1
[ "$(endpoint n2) $(endpoint n4)" = "192.0.2.22:47890 192.0.2.44:47890" ] || fail "$(endpoint n2) $(endpoint n4)"
reach n3 10.98.0.1 > /dev/null 2>&1 && fail "a peer moved that may not"
[ "$(endpoint n3)" = 192.0.2.3:47890 ] || fail "the fixed endpoint became $(endpoint n3)"
until_true 5 "what it sends from elsewhere is counted" saw_drop n1 sourceMismatch 0
ip -n n3 addr del 192.0.2.33/24 dev u; ip -n n3 addr add 192.0.2.3/24 dev u
until_true 20 "back at its address it goes on" reach n3 10.98.0.1

# A rotation must be on disk before a peer hears of it: read-only, then full.
key=$("$VXSEAL" pubkey < "$work/n1.key")
refused() {
    local code=0
    "$VXSEAL" rotate identity --socket "$work/n1.sock" > "$work/out" 2>&1 || code=$?
    [ $code = 1 ] && grep -q "cannot be written" "$work/out" || fail "exit code $code: $(cat "$work/out")"
    grep -q "$1" "$work/n1.log" || fail "the log lacks: $1"
    [ "$("$VXSEAL" pubkey < "$work/n1.key")" = "$key" ] || fail "the key file changed"
    [ ! -e "$work/n1.key.next" ] || fail "a key file is left behind"
    reach n2 10.98.0.1 > /dev/null || fail "the session suffers"
}
mount -o remount,ro "$work/state-n1"; refused "Read-only file system"
mount -o remount,rw "$work/state-n1"
head -c 100000 /dev/zero > "$work/state-n1/ballast" 2>/dev/null || true
refused "No space left"
rm "$work/state-n1/ballast"
# What was lost while n3 was away is known when the session of that time has been replaced and both ends have counted.
"$VXSEAL" rotate psk n3 --wait --socket "$work/n1.sock" > /dev/null || true
"$VXSEAL" rotate identity --wait --socket "$work/n1.sock" > "$work/out" || fail "$(cat "$work/out")"
reach n2 10.98.0.1 > /dev/null || fail "traffic under the new key"
umount -l "$work/state-n1"
echo PASSED
