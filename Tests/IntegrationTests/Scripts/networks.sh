# Hundreds of networks between two nodes: traffic in the first, the last and some between, none from one to another, and devices
# that somebody removes in bulk.
. "$(dirname "$0")/common.sh"
count=300
address() { echo "10.$((100 + $2 / 250)).$(($2 % 250)).${1#n}"; } # NODE VNI
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n1 n2; do
    p=n$((3 - ${n#n}))
    { head_of "$n"; echo "networks:"
      for vni in $(seq $count); do echo "  - {vni: $vni, addresses: [$(address "$n" "$vni")/24]}"; done
      echo "peers:"; peer_of "$p" "192.0.2.${p#n}:47890" | sed "s/networks:.*/networks: [$(seq -s, $count)]/"; } > "$work/$n.yaml"
done
# As a shell has it.
ulimit -Sn 256
up n1; up n2
some="1 2 150 299 300"
for vni in $some; do until_true 20 "VNI $vni" reach n1 "$(address n2 "$vni")"; done
# Another network's address is not reached through this one's device, where hosts answer on the device that has it alone.
ip netns exec n2 sysctl -qw net.ipv4.conf.all.arp_ignore=1
for vni in $some; do
    other=$((vni % count + 1))
    ! ip netns exec n1 ping -q -c 1 -W 0.3 -I "vxs$vni" "$(address n2 "$other")" >/dev/null || fail "VNI $vni leads to VNI $other"
done
# A queueing discipline would take the kernel 6 MiB a device.
ip -n n1 link show vxs1 | grep -q "qdisc noqueue" || fail "$(ip -n n1 link show vxs1)"

for vni in $(seq 100 119); do ip -n n1 link del "vxs$vni"; done
restarts() { [ "$(ask n1 "sum(n['deviceRestarts'] for n in s['networks'])")" = 20 ]; }
until_true 30 "the devices are there again" restarts
for vni in 100 119; do until_true 20 "VNI $vni again" reach n1 "$(address n2 "$vni")"; done

# A reload that does not fit is refused before anything is made.
cp "$work/n1.yaml" "$work/fits.yaml"
sed -i 's/^peers:/  - {vni: 1001}\n  - {vni: 1002}\npeers:/' "$work/n1.yaml"
"$VXSEAL" check -c "$work/n1.yaml" >/dev/null || fail "the configuration with two more is wrong"
lanes=$(ask n1 "s['lanes']")
prlimit --pid "${daemons[n1]}" --nofile=$((lanes * 349 + 64)):$((lanes * 349 + 64))
code=0; "$VXSEAL" reload --socket "$work/n1.sock" > "$work/out" 2>&1 || code=$?
[ $code = 1 ] && grep -q "302 networks on .* lanes take .* file descriptors" "$work/out" || fail "$code: $(cat "$work/out")"
[ "$(ip -n n1 -o link show type tun | wc -l)" = 300 ] || fail "the refused reload made devices"
reach n1 "$(address n2 1)" || fail "the refused reload ended traffic"
mv "$work/fits.yaml" "$work/n1.yaml"

stop n1 TERM
[ -z "$(ip -n n1 -o link show type tun)" ] || fail "devices stayed"

# What a machine cannot have is said before anything is made.
ulimit -n 256
code=0; ip netns exec n1 "$VXSEAL" up --allow-volatile-state -c "$work/n1.yaml" > "$work/out" 2>&1 || code=$?
[ $code = 1 ] && grep -q "300 networks on .* lanes take .* file descriptors, and this process may have 256" "$work/out" ||
    fail "$code: $(cat "$work/out")"
echo PASSED
