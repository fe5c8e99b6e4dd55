# DSCP and ECN between the inner and the outer header, on the wire and as the stations see them; VLAN filters; the hop limit.
. "$(dirname "$0")/common.sh"
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
# VNI 42 over IPv4, 44 over IPv6: a peer has one endpoint, so that is another pair of daemons; 43 in plaintext.
conf() { # NODE UNDERLAY-OF-PEER
    local other=n$((3 - ${1#n}))
    { head_of "$1"; cat <<Y
listen: "[::]:47890"
plaintextListen: ["0.0.0.0:4789", "[::]:4789"]
lanes: 1
networks:
  - {vni: 42, addresses: [10.98.0.${1#n}/24, "fd98::${1#n}/64"]}
  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.${1#n}/24], vlan: [untagged, 7]}
peers:
  - {name: sealed, publicKey: "$(cat "$work/$other.pub")", endpoint: "$2:47890", networks: [42]}
  - {name: plain, plaintext: true, endpoint: "$2:4789", networks: [43]}
Y
    } > "$work/$1.yaml"
}
cat > "$work/tos.py" <<'P'
"""send ADDRESS CLASS COUNT SIZE | receive FAMILY: the traffic classes of datagrams on port 9000 as they come, until SIGTERM"""
import socket, sys
if sys.argv[1] == "send":
    address, value, count, size = sys.argv[2], int(sys.argv[3], 0), int(sys.argv[4]), int(sys.argv[5])
    sender = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    if ":" in address:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
    else:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)
    for _ in range(count):
        sender.sendto(bytes(size), (address, 9000))
else:
    six = sys.argv[2] == "6"
    receiver = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    if six:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    else:
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    receiver.bind(("::" if six else "0.0.0.0", 9000))
    print("ready", flush=True)
    while True:
        print("0x%02x" % receiver.recvmsg(65535, 128)[1][0][2][0], flush=True)
P
cat > "$work/tag.py" <<'P'
"""send DEVICE VLAN | hear DEVICE: a frame that names its VLAN, with its tag or, for 0, without one; what such frames name"""
import socket, struct, sys
device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
device.bind((sys.argv[2], 0))
if sys.argv[1] == "send":
    tag = int(sys.argv[3])
    header = b"\xff" * 6 + b"\x02\0\0\0\0\x77" + (struct.pack("!HH", 0x8100, tag) if tag else b"")
    device.send(header + b"\x88\xb5" + b"frame with tag %d." % tag + bytes(40))
else:
    print("ready", flush=True)
    while True:
        data = device.recv(65535)
        if b"frame with" in data:
            print(data[data.index(b"frame with"):].split(b".")[0].decode(), flush=True)
P
# send_class ADDRESS CLASS SIZE COMMAND...: ten datagrams of that class, whose classes at n2 stand in $work/received when the
# command succeeds
received() { [ "$(grep -c 0x "$work/received")" = 10 ]; }
send_class() {
    local family=4 receiver
    case $1 in *:*) family=6 ;; esac
    rm -f "$work/received"
    ip netns exec n2 python3 "$work/tos.py" receive $family > "$work/received" & receiver=$!
    children+=("$receiver")
    until_true 20 "the receiver is ready" grep -q ready "$work/received"
    ip netns exec n1 python3 "$work/tos.py" send "$1" "$2" 10 "$3"
    until_true 20 "class $2 to $1: $4" "${@:4}"
    kill "$receiver"; wait "$receiver" 2>/dev/null || true
}
# passes ADDRESS CLASS RECEIVED SIZE
passes() {
    send_class "$1" "$2" "$4" received
    [ "$(sort -u "$work/received" | grep 0x)" = "$3" ] || fail "class $2 to $1: $(sort -u "$work/received") instead of $3"
}
# is_dropped ADDRESS CLASS SIZE
is_dropped() {
    local before
    before=$(dropped n2 notECNCapable)
    send_class "$1" "$2" "$3" saw_drop n2 notECNCapable $((before + 9))
    ! grep -q 0x "$work/received" || fail "class $2 to $1: $(cat "$work/received") instead of drops"
}
wire() { # PORT EXPRESSION...: one counter for what n2 receives on the port
    ip netns exec n2 nft -f - <<N
table inet wire {
  chain input {
    type filter hook prerouting priority -300
    iifname "u" udp dport $1 ${@:2}
  }
}
N
}
clear_wire() { ip netns exec n2 nft flush ruleset; }
counted() { ip netns exec n2 nft list ruleset | sed -n 's/.*counter packets \([0-9]*\).*/\1/p'; }
reaches() { [ "$(counted)" -ge "$1" ]; }

for underlay in 4 6; do
    if [ $underlay = 4 ]; then a=192.0.2.1 b=192.0.2.2 ip=ip ttl="ip ttl"; else a="[fd00::1]" b="[fd00::2]" ip=ip6 ttl="ip6 hoplimit"; fi
    conf n1 "$b"; conf n2 "$a"
    for n in n1 n2; do ip netns exec $n sysctl -qw net.ipv4.ip_default_ttl=33 net.ipv6.conf.all.hop_limit=33; up $n; done
    until_true 15 "a session over IPv$underlay" established n1
    for address in 10.98.0.2 fd98::2 10.99.0.2; do until_true 10 "$address answers" reach n1 "$address"; done
    # Neighbour discovery takes no part in ECN: marked, it would be dropped.
    for pair in "10.98.0.2 vxs42" "fd98::2 vxs42" "10.99.0.2 vxp43"; do
        ip -n n1 neigh replace "${pair% *}" dev "${pair#* }" nud permanent \
            lladdr "$(ip netns exec n2 cat "/sys/class/net/${pair#* }/address")"
    done
    for port in 47890 4789; do
        case $port in 47890) inner="10.98.0.2 fd98::2" ;; *) inner=10.99.0.2 ;; esac
        for address in $inner; do
            for size in 40 900; do
                # EF with ECT(0) shows outside, on one datagram at least: small ones may share one.
                wire $port $ip dscp ef $ip ecn ect0 $ttl 64 counter
                passes "$address" 0xba 0xba $size
                until_true 5 "EF and ECT(0) on the wire, $address over $port, IPv$underlay" reaches 1
                clear_wire
                # A router marks congestion: inside it shows where the sender knows ECN, and is a drop where it does not.
                wire $port $ip ecn set ce counter
                passes "$address" 0xba 0xbb $size
                passes "$address" 0xb9 0xbb $size
                is_dropped "$address" 0xb8 $size
                clear_wire
            done
        done
    done
    # Runs of one call keep their class: TCP with ECN, marked on the way, still flows and sees the marks.
    for n in n1 n2; do ip netns exec $n sysctl -qw net.ipv4.tcp_ecn=1; done
    wire 47890 $ip ecn ect0 numgen random mod 100 "<" 5 $ip ecn set ce counter
    ip netns exec n2 iperf3 -s -1 >/dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec n2 ss -ltn | grep -q 5201"
    before=$(ip netns exec n2 nstat -asz TcpExtInCEPkts IpExtInCEPkts | awk '/InCEPkts/ {sum += $2} END {print sum}')
    ip netns exec n1 timeout 20 iperf3 -c 10.98.0.2 -n 20M > "$work/iperf.log" 2>&1 || fail "TCP with ECN"
    reaches 1 || fail "no datagram was marked"
    after=$(ip netns exec n2 nstat -asz TcpExtInCEPkts IpExtInCEPkts | awk '/InCEPkts/ {sum += $2} END {print sum}')
    [ "$after" -gt "$before" ] || fail "no segment arrived with the mark"
    clear_wire

    # Frames of VLAN 7 and without a tag pass in network 43, those of VLAN 8 do not: told apart by what the other side hears.
    rm -f "$work/heard"
    ip netns exec n2 python3 "$work/tag.py" hear vxp43 > "$work/heard" & children+=($!)
    until_true 5 "the listener is ready" grep -q ready "$work/heard"
    before=$(dropped n1 vlanNotAllowed)
    for tag in 8 7 0; do ip netns exec n1 python3 "$work/tag.py" send vxp43 $tag; done
    until_true 5 "the last frame arrives" grep -q "tag 0" "$work/heard"
    grep -q "tag 7" "$work/heard" || fail "VLAN 7 does not pass"
    grep -q "tag 8" "$work/heard" && fail "VLAN 8 passes"
    until_true 5 "a frame of VLAN 8 is counted" saw_drop n1 vlanNotAllowed "$before"
    kill "${children[-1]}"; wait "${children[-1]}" 2>/dev/null || true
    for n in n1 n2; do stop $n TERM; done
done
# Hidden DSCP: ECN alone shows.
conf n1 192.0.2.2; conf n2 192.0.2.1
sed -i 's/{vni: 42, /{vni: 42, copyDscp: false, /' "$work/n1.yaml"
up n1; up n2
until_true 15 "traffic" reach n1 10.98.0.2
wire 47890 ip dscp cs0 ip ecn ect0 counter
passes 10.98.0.2 0xba 0xba 900
until_true 5 "ECN alone shows" reaches 1
echo PASSED
