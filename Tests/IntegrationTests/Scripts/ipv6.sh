# Underlays of IPv6: link-local addresses with their interface, both families at once, and VXLAN with and without checksums.
. "$(dirname "$0")/common.sh"
for n in n1 n2 n3; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
declare -A ll
for n in n1 n2 n3; do
    until_true 10 "a link-local address" sh -c "ip -n $n -6 -o addr show dev u scope link | grep -qv tentative"
    ll[$n]=$(link_local "$n" u)
done
# n1 and n2 have nothing but link-local addresses: one listens on any address, the other on that one. n3 has IPv4 alone.
for n in n1 n2; do ip -n $n addr del "fd00::${n#n}/64" dev u; done
ip -n n2 addr del 192.0.2.2/24 dev u
ip -n n3 addr del fd00::3/64 dev u
{ head_of n1; cat <<Y
listen: "[::]:47890"
networks:
  - {vni: 42, addresses: [10.98.0.1/24, "fd98::1/64"]}
peers:
  - {name: n2, publicKey: "$(cat "$work/n2.pub")", endpoint: "[${ll[n2]}%u]:47890", roaming: false, networks: [42]}
  - {name: n3, publicKey: "$(cat "$work/n3.pub")", endpoint: "192.0.2.3:47890", networks: [42]}
Y
} > "$work/n1.yaml"
{ head_of n2; printf 'listen: "[%s%%u]:47890"\nnetworks:\n  - {vni: 42, addresses: [10.98.0.2/24, "fd98::2/64"]}\npeers:\n' "${ll[n2]}"
  printf '  - {name: n1, publicKey: "%s", roaming: false, networks: [42]}\n' "$(cat "$work/n1.pub")"; } > "$work/n2.yaml"
{ head_of n3; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.3/24]}\npeers:\n'; peer_of n1 192.0.2.1:47890; } > "$work/n3.yaml"
for n in n2 n3 n1; do up $n; done
until_true 20 "sessions over either family" established n1 2
for address in 10.98.0.2 fd98::2 10.98.0.3; do until_true 10 "$address answers" reach n1 $address; done
[ "$(ask n1 "s['networks'][0]['mtu']")" = 1394 ] || fail "the MTU over IPv6"
every_size n1 n2 10.98.0.2 1366 fd98::2 1346
every_size n2 n1 10.98.0.1 1366 fd98::1 1346
[ "$(ask n1 "p['endpoint']")" = "[${ll[n2]}%u]:47890" ] || fail "status shows $(ask n1 "p['endpoint']")"
# The effective configuration names the interface, and loads.
ip netns exec n1 "$VXSEAL" check --allow-volatile-state -c "$work/n1.yaml" > "$work/effective.yaml" || fail "check"
grep -qF "[${ll[n2]}%u]:47890" "$work/effective.yaml" || fail "the effective configuration lost the interface"
for wrong in "[${ll[n2]}]:47890" "[${ll[n2]}%nowhere]:47890" "[::ffff:192.0.2.3]:47890"; do
    sed "s/192.0.2.3:47890/$wrong/" "$work/n1.yaml" > "$work/wrong.yaml"
    code=0; ip netns exec n1 "$VXSEAL" check --allow-volatile-state -c "$work/wrong.yaml" > "$work/out" 2>&1 || code=$?
    [ $code = 78 ] && grep -q "eth0" "$work/out" || fail "$wrong: $code, $(cat "$work/out")"
done
for n in n1 n2 n3; do stop $n TERM; done

# Plaintext, from one port for both families: the kernel over link-local IPv6 with checksums and without, and over IPv4.
{ head_of n1; cat <<Y
plaintextListen: "[::]:4789"
networks:
  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.1/24, "fd99::1/64"]}
peers:
  - {name: k6, plaintext: true, endpoint: "[${ll[n2]}%u]:4789", networks: [43]}
  - {name: k4, plaintext: true, endpoint: "192.0.2.3:4789", networks: [43]}
Y
} > "$work/n1.yaml"
up n1
ip -n n3 link add vx43 type vxlan id 43 dstport 4789 local 192.0.2.3 remote 192.0.2.1
ip -n n3 addr add 10.99.0.3/24 dev vx43; ip -n n3 link set vx43 up
until_true 10 "the kernel over IPv4" reach n1 10.99.0.3
for checksum in noudp6zerocsumtx udp6zerocsumtx; do
    ip -n n2 link add vx43 type vxlan id 43 dstport 4789 local "${ll[n2]}" remote "${ll[n1]}" dev u $checksum udp6zerocsumrx
    ip -n n2 addr add 10.99.0.2/24 dev vx43; ip -n n2 addr add fd99::2/64 dev vx43 nodad; ip -n n2 link set vx43 up
    until_true 10 "the kernel with $checksum" reach n1 10.99.0.2
    until_true 10 "and IPv6 in it" reach n2 fd99::1
    ip -n n2 link del vx43
    "$VXSEAL" fdb --flush --socket "$work/n1.sock" >/dev/null
    ip -n n1 neigh flush dev vxp43
done
# The same address on another link is somebody else.
ip link add x netns n1 type veth peer name x netns n3
ip -n n1 link set x up; ip -n n3 link set x up
ip -n n3 addr add "${ll[n2]}/64" dev x nodad
until_true 10 "the other link is up" sh -c "ip netns exec n3 ping -6 -q -c 1 -W 1 -I x ff02::1"
before=$(dropped n1 unknownSource)
other=$(link_local n1 x)
ip netns exec n3 python3 - "${ll[n2]}" "$other" <<'P'
import socket, sys
sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
link = socket.if_nametoindex("x")
sender.bind((sys.argv[1], 0, 0, link))
frame = b"\xff" * 6 + b"\x02\0\0\0\0\x66" + b"\x88\xb5payload"
sender.sendto(b"\x08\0\0\0\0\0\x2b\0" + frame, (sys.argv[2], 4789, 0, link))
P
until_true 5 "a stranger with the peer's address on another link is refused" saw_drop n1 unknownSource "$before"
echo PASSED
