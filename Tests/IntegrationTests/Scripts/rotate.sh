# Rotations of every kind on a node with eight peers, under numbered traffic in both directions: nothing lost, nothing
# twice. Then what goes wrong around a rotation: a kill, a peer that refuses, a state that was cut, a key file replaced.
. "$(dirname "$0")/common.sh"
names=(n1 n2 n3 n4 n5 n6 n7 n8 n9)
for n in "${names[@]}"; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in "${names[@]}"; do
    i=${n#n}
    { head_of "$n"; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "$i"
      if [ "$n" = n1 ]; then for m in "${names[@]:1}"; do peer_of "$m" "192.0.2.${m#n}:47890"; done
      else peer_of n1 192.0.2.1:47890; fi; } > "$work/$n.yaml"
    up "$n"
done
until_true 30 "n1 has eight sessions" established n1 8

# Numbered datagrams both ways between n1 and every peer.
count=4000 rate=250 receivers=() senders=()
for m in "${names[@]:1}"; do
    ip netns exec n1 "$VXSEAL" demo-traffic receive "70${m#n}" > "$work/to-n1-$m" & receivers+=($!)
    ip netns exec "$m" "$VXSEAL" demo-traffic receive 7000 > "$work/from-n1-$m" & receivers+=($!)
done
children+=("${receivers[@]}")
for m in "${names[@]:1}"; do
    until_true 10 "receivers are ready" grep -q ready "$work/to-n1-$m" "$work/from-n1-$m"
    ip netns exec n1 "$VXSEAL" demo-traffic send "10.98.0.${m#n}:7000" $count $rate > /dev/null & senders+=($!)
    ip netns exec "$m" "$VXSEAL" demo-traffic send "10.98.0.1:70${m#n}" $count $rate > /dev/null & senders+=($!)
done
children+=("${senders[@]}")
old=$(status n1 | sed -n 's/.*"publicKey" : "\(.*\)".*/\1/p' | tail -1)
"$VXSEAL" rotate session --socket "$work/n1.sock" > /dev/null
"$VXSEAL" rotate identity --wait --socket "$work/n1.sock" > "$work/table" || fail "rotate identity --wait: $(cat "$work/table")"
[ "$(grep -c 'switched, and both ends have counted' "$work/table")" = 8 ] || fail "$(cat "$work/table")"
"$VXSEAL" rotate psk n2 --wait --socket "$work/n1.sock" > "$work/table" || fail "rotate psk --wait: $(cat "$work/table")"
"$VXSEAL" rotate session --socket "$work/n1.sock" > /dev/null
for pid in "${senders[@]}"; do wait "$pid" || fail "a sender"; done
for pid in "${receivers[@]}"; do wait "$pid" || fail "a receiver"; done
for file in "$work"/to-n1-* "$work"/from-n1-*; do
    [ "$(tail -1 "$file")" = "$count 0 0" ] || fail "received, twice, out of order: $(tail -1 "$file") of $count in ${file##*/}"
done
new=$(status n1 | sed -n 's/.*"publicKey" : "\(.*\)".*/\1/p' | tail -1)
[ "$old" != "$new" ] || fail "the identity is the old one"
[ "$("$VXSEAL" pubkey < "$work/n1.key")" = "$new" ] || fail "the key file holds another key than the daemon uses"
[ ! -e "$work/n1.key.next" ] || fail "the next key's file is left behind"

# A second rotation is refused while one is open, which it is as long as a peer is down; a kill does not end it.
address() { ip -n n1 -o link show vxs42 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/'; }
mac=$(address)
stop n9 TERM
"$VXSEAL" rotate identity --socket "$work/n1.sock" > /dev/null || fail "a second rotation"
"$VXSEAL" rotate identity --socket "$work/n1.sock" 2> "$work/refusal" && fail "a rotation while one is open"
grep -q "open already; see: vxseal rotate status" "$work/refusal" || fail "$(cat "$work/refusal")"
until_true 20 "seven peers have switched" sh -c "[ \"\$($VXSEAL rotate status --socket $work/n1.sock | grep -c switched)\" = 7 ]"
stop n1 KILL
until_true 5 "the device of a killed daemon is gone" sh -c "! ip -n n1 link show vxs42"
up n1
[ "$(address)" = "$mac" ] || fail "after a restart with another key the device has another MAC address"
until_true 20 "the sessions are back" established n1 7
until_true 20 "the rotation is still open" sh -c "$VXSEAL rotate status --socket $work/n1.sock | grep -q 'rotating to'"
up n9
until_true 60 "the peer that was down has switched, and the old key is gone" \
    sh -c "$VXSEAL rotate status --socket $work/n1.sock | grep -q 'no rotation'"
newest=$("$VXSEAL" pubkey < "$work/n1.key")
[ "$newest" != "$new" ] || fail "the key file holds the old key"
until_true 20 "traffic with the third key" reach n9 10.98.0.1

# A peer that lost its state knows the first key alone: refused, told, and mended by hand.
stop n8 TERM
rm -r "$work/state-n8"
up n8
until_true 30 "a call from a key that n8 does not know" saw_drop n8 unknownPeer 0
"$VXSEAL" rotate accept n1 "$newest" --socket "$work/n8.sock" > /dev/null || fail "rotate accept"
until_true 20 "traffic after rotate accept" reach n8 10.98.0.1

# A state file that was cut is refused with what to do; so is a rotation whose key file is replaced.
stop n7 TERM
truncate -s -5 "$work/state-n7/rotation"
"$VXSEAL" up --allow-volatile-state -c "$work/n7.yaml" 2> "$work/refusal" && fail "a damaged state was taken"
grep -q "state-n7/rotation is damaged" "$work/refusal" || fail "$(cat "$work/refusal")"
"$VXSEAL" rotate identity --socket "$work/n1.sock" > /dev/null
until_true 20 "seven peers have switched again" sh -c "[ \"\$($VXSEAL rotate status --socket $work/n1.sock | grep -c switched)\" = 7 ]"
stop n1 TERM
rm "$work/n1.key"; "$VXSEAL" genkey --output "$work/n1.key"
up n1
grep -q "given up, since .*n1.key was replaced" "$work/n1.log" || fail "a replaced key file goes unnoticed"
echo PASSED
