# vxseal firewall: the rules load, let through what they should, drop plaintext from strangers, and keep connection tracking away.
. "$(dirname "$0")/common.sh"
node n1 192.0.2.1 fd00::1; node n2 192.0.2.2 fd00::2; node k 192.0.2.9 fd00::9; node x 192.0.2.66 fd00::66
for n in n1 n2; do genkey $n; done
{ head_of n1; cat <<Y
listen: "[::]:47890"
plaintextListen: "[::]:4789"
lanes: 2
networks:
  - {vni: 42, addresses: [10.98.0.1/24]}
  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.1/24]}
peers:
  - {name: "leaf\"\\n} ; flush ruleset", plaintext: true, endpoint: "192.0.2.9:4789", networks: [43]}
  - {name: leaf6, plaintext: true, endpoint: "[fd00::9]:4789", networks: [43]}
Y
  peer_of n2 192.0.2.2:47890; } > "$work/n1.yaml"
{ head_of n2; printf 'lanes: 2\nnetworks:\n  - {vni: 42, addresses: [10.98.0.2/24]}\npeers:\n'; peer_of n1 192.0.2.1:47890; } > "$work/n2.yaml"

in1() { ip netns exec n1 "$@"; }
firewall() { in1 "$VXSEAL" firewall --allow-volatile-state -c "$work/$1.yaml" "${@:2}"; }
rules() { in1 nft -s list ruleset; }
count() { in1 nft list chain inet vxseal_n1 input | sed -n "s/.*$1.*packets \([0-9]*\) .*/\1/p" | head -1; }
tracked() { in1 cat /proc/sys/net/netfilter/nf_conntrack_count; }

# Tracking runs in n1 for somebody else's rules, and tracks.
in1 nft add table inet other
in1 nft add chain inet other input '{ type filter hook input priority 10; }'
in1 nft add rule inet other input ct state established counter
other=$(rules)
in1 ping -q -c 1 192.0.2.2 >/dev/null
if [ -e /proc/sys/net/netfilter/nf_conntrack_count ]; then
    [ "$(tracked)" -ge 1 ] || fail "connection tracking is not at work here"
    before=$(tracked)
fi

firewall n1 > "$work/rules.nft"
in1 nft -c -f "$work/rules.nft" || fail "nft refuses: $(cat "$work/rules.nft")"
[ "$(rules)" = "$other" ] || fail "printing the rules changed some"
[ "$(awk '{ if (length > 110) print }' "$work/rules.nft")" = "" ] || fail "long lines: $(cat "$work/rules.nft")"
[ "$(firewall n1 --apply)" = "loaded table inet vxseal_n1; see it with: nft list table inet vxseal_n1" ] || fail "--apply"
once=$(rules)
said=$(firewall n1 --apply)
[ "${said%%:*}" = "loaded again, unchanged" ] || fail "the second --apply says: $said"
[ "$(rules)" = "$once" ] || fail "a second --apply changed the rules: $(rules)"
echo "$once" | grep -q "table inet other" || fail "the other table is gone"

ip -n k link add vx43 type vxlan id 43 dstport 4789 local 192.0.2.9 remote 192.0.2.1
ip -n k addr add 10.99.0.9/24 dev vx43; ip -n k link set vx43 up
up n1; up n2
until_true 20 "a sealed session" established n1
reach n1 10.98.0.2 >/dev/null || fail "sealed traffic"
reach n2 10.98.0.1 >/dev/null || fail "sealed traffic from n2"
until_true 10 "the plaintext peer answers" reach n1 10.99.0.9
[ "$(count 'udp dport 47890')" -gt 0 ] || fail "no rule counted sealed datagrams: $(in1 nft list table inet vxseal_n1)"

# A stranger's plaintext, of both families, never reaches the socket; a configured peer's does.
send() { ip netns exec "$1" bash -c "printf 'Ano VXLAN' > /dev/udp/$2/4789"; }
for family in ipv4 ipv6; do
    to=192.0.2.1; [ $family = ipv4 ] || to=fd00::1
    send x $to
    until_true 5 "the rule counts a stranger's $family" sh -c "[ \"\$(ip netns exec n1 nft list chain inet vxseal_n1 input |
        grep -c 'nfproto $family udp dport 4789 counter packets 1 ')\" = 1 ]"
done
[ "$(dropped n1 invalidPlaintext)" = 0 ] || fail "a stranger's datagram came through"
send k 192.0.2.1
until_true 5 "a peer's datagram comes through" saw_drop n1 invalidPlaintext 0
if [ -n "${before:-}" ]; then
    # Entries of the overlay's own pings are there; none of the outer ports. Where there is no list, only a count: few.
    if in1 test -e /proc/net/nf_conntrack; then
        in1 cat /proc/net/nf_conntrack | grep -E 'port=(47890|4789) ' && fail "tracked"
        in1 cat /proc/net/nf_conntrack | grep -q icmp || fail "nothing at all is tracked"
    else
        # Sessions, plaintext peer and strangers would have made an entry for each flow, at least seven.
        [ "$(tracked)" -le $((before + 4)) ] || fail "$(tracked) connections are tracked, $before before"
    fi
fi

# A changed configuration replaces the rules; where nobody roams, strangers do not reach the sealed port either.
sed 's/^  - name: n2$/&\n    roaming: false/' "$work/n1.yaml" > "$work/fixed.yaml"
said=$(firewall fixed --apply)
[ "${said%%;*}" = "replaced table inet vxseal_n1" ] || fail "a changed --apply says: $said"
ip netns exec x bash -c "printf '\x09garbage' > /dev/udp/192.0.2.1/47890"
until_true 5 "the rule counts" sh -c "ip netns exec n1 nft list chain inet vxseal_n1 input |
    grep -q 'nfproto ipv4 udp dport 47890 counter packets 1 '"
[ "$(dropped n1 unknownMessage)" = 0 ] || fail "a stranger's datagram reached the sealed port"
reach n1 10.98.0.2 >/dev/null || fail "sealed traffic with fixed peers"

[ "$(firewall n1 --remove)" = "removed table inet vxseal_n1" ] || fail "--remove"
[ "$(rules)" = "$other" ] || fail "--remove left or took something: $(rules)"
[ "$(firewall n1 --remove)" = "there is no table inet vxseal_n1" ] || fail "a second --remove"

# A name that nft would not take, lanes with ports of their own, a link-local peer, one address to listen on.
{ head_of n2 | sed 's/^node:.*/node: "n 2; é{"/'; cat <<Y
listen: ["192.0.2.2:47890", "[fd00::2]:47891"]
lanes: 3
lanePorts: [47892, 47893]
networks: [{vni: 42, mode: mixed}]
peers:
  - {name: here, plaintext: true, endpoint: "[fe80::9%u]:4789", networks: [42]}
Y
  peer_of n1 192.0.2.1:47890; } > "$work/odd.yaml"
ip netns exec n2 "$VXSEAL" firewall --allow-volatile-state -c "$work/odd.yaml" --apply > "$work/said" || fail "an odd name"
table=$(sed 's/.*list table inet //' "$work/said")
ip netns exec n2 nft list table inet "$table" > "$work/odd" || fail "no table $table"
for text in 'ip daddr 192.0.2.2 udp dport 47890' 'ip6 saddr fd00::2 udp sport 47891 notrack' '"u" \. fe80::9' '47892, 47893'; do
    grep -q "$text" "$work/odd" || fail "no '$text' in: $(cat "$work/odd")"
done
code=0; firewall n1 --apply --remove 2>/dev/null || code=$?
[ $code = 2 ] || fail "--apply --remove ends with $code"
echo PASSED
