# flood: known-multicast with the kernel's own IGMP and MLD: a group goes to the node that joined it, not to the other.
. "$(dirname "$0")/common.sh"
for n in n1 n2 n3; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n1 n2 n3; do
    { head_of "$n"
      printf 'networks:\n  - {vni: 42, flood: known-multicast, bridge: br42}\npeers:\n'
      for p in n1 n2 n3; do [ "$p" = "$n" ] || peer_of "$p" "192.0.2.${p#n}:47890"; done; } > "$work/$n.yaml"
    ip -n "$n" link add br42 type bridge
    ip -n "$n" addr add "10.98.0.${n#n}/24" dev br42; ip -n "$n" addr add "fd98::${n#n}/64" dev br42 nodad
    ip -n "$n" link set br42 mtu 1400 up
done
for n in n1 n2 n3; do up "$n"; done
until_true 20 "n2" reach n1 10.98.0.2; until_true 20 "n3" reach n1 10.98.0.3
groups() { ask "$1" "s['networks'][0]['groups']['$2']"; }
is() { [ "$(groups "$1" "$2")" "$3" "$4" ]; }
is n1 hasIPv4Querier = False || fail "a querier before there is one"

# The bridge of n3 asks, as a router would: in IPv6 once it has an address of the link.
until_true 10 "n3 has a link-local address" sh -c 'ip -n n3 -6 addr show dev br42 scope link -tentative | grep -q fe80'
ip -n n3 link set br42 type bridge mcast_startup_query_interval 100 mcast_querier 1
until_true 20 "n1 hears of the querier" is n1 hasIPv4Querier = True
until_true 20 "and of the other family's" is n1 hasIPv6Querier = True
listen() { # NODE GROUP
    ip netns exec "$1" python3 - "$2" > "$work/heard-$1" <<'P' & children+=($!)
import socket, sys
group = sys.argv[1]
v6 = ":" in group
link = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
link.bind(("::" if v6 else "0.0.0.0", 7007))
if v6:
    index = socket.if_nametoindex("br42")
    link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + index.to_bytes(4, "little"))
else:
    link.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("0.0.0.0") + socket.if_nametoindex("br42").to_bytes(4, "little"))
for _ in range(40):
    print(link.recv(100).decode(), flush=True)
P
}
send() { # NODE GROUP
    ip netns exec "$1" python3 - "$2" <<'P'
import socket, sys, time
group = sys.argv[1]
v6 = ":" in group
index = socket.if_nametoindex("br42")
link = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
if v6:
    link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 4)
else:
    link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes(8) + index.to_bytes(4, "little"))
for number in range(40):
    link.sendto(b"%d" % number, (group, 7007))
P
}
frames() { ask n1 "[p['sent']['frames'] for p in s['peers'] if p['name'] == '$1'][0]"; }
heard_all() { [ "$(wc -l < "$work/heard-$1")" = 40 ]; }
for group in 239.1.1.1 ff0e::42:1; do
    before=$(groups n1 memberships)
    listen n2 "$group"
    until_true 20 "n1 hears that n2 wants $group" is n1 memberships -gt "$before"
    # A node that asks gets all; n2 wants the group; nobody else is there. So n1 sends to both, n2 to n3 alone.
    two=$(ask n2 "[p['sent']['frames'] for p in s['peers'] if p['name'] == 'n1'][0]")
    send n1 "$group"
    until_true 10 "n2 has all of $group" heard_all n2
    send n2 "$group"
    now=$(ask n2 "[p['sent']['frames'] for p in s['peers'] if p['name'] == 'n1'][0]")
    [ $((now - two)) -lt 30 ] || fail "n2 sent $((now - two)) frames to n1, which does not want $group"
done
# Groups of the link and broadcasts still reach all.
for n in n1 n2 n3; do answer_groups $n; done
all_answer n1 br42 10.98.0.255 10.98.0.2 10.98.0.3
all_answer n1 br42 ff02::1 "$(link_local n2 br42)" "$(link_local n3 br42)"
echo PASSED
