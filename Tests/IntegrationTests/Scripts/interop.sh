# Standard VXLAN with everybody else who speaks it: the kernel over both families, both usual ports, with and without outer
# checksum, with one remote and with a static table of several; and tshark, which finds nothing to complain about.
. "$(dirname "$0")/common.sh"
# The stations' own names in the underlay: n1 runs vxseal, k1 and k2 the kernel's device.
node n1 192.0.2.1 fd00::1; node k1 192.0.2.11 fd00::11; node k2 192.0.2.12 fd00::12; genkey n1
# Real segments with real checksums on the wire, so that a capture shows what a cable would carry.
for n in n1 k1 k2; do
    ip netns exec $n ethtool -K u tx off gso off tso off gro off tx-udp-segmentation off tx-udp_tnl-segmentation off \
        tx-udp_tnl-csum-segmentation off >/dev/null 2>&1 || true
done
conf() { # PORT K1 K2
    head_of n1; cat <<Y
plaintextListen: "[::]:$1"
networks:
  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.1/24, "fd99::1/64"]}
peers:
  - {name: k1, plaintext: true, endpoint: "$2:$1", networks: [43]}
  - {name: k2, plaintext: true, endpoint: "$3:$1", networks: [43]}
Y
}
# kernel NODE LAST-BYTE IP-LINK-OPTIONS...
kernel() {
    local node=$1 last=$2
    shift 2
    ip -n "$node" link add vx43 type vxlan id 43 "$@"
    ip -n "$node" addr add "10.99.0.$last/24" dev vx43
    ip -n "$node" addr add "fd99::$last/64" dev vx43 nodad
    ip -n "$node" link set vx43 up
}
everybody() { # each reaches each
    local from to
    for from in n1:1 k1:11 k2:12; do
        for to in 1 11 12; do
            until_true 10 "$from to $to: $1" reach "${from%:*}" "10.99.0.$to"
            until_true 10 "$from to $to over IPv6: $1" reach "${from%:*}" "fd99::$to"
        done
    done
}
# The next device has another MAC address.
forget() { "$VXSEAL" fdb --flush --socket "$work/n1.sock" >/dev/null; ip -n n1 neigh flush dev vxp43; }
errors() { ip -n "$1" -s link show vx43 | awk '/RX/ {getline; print $3 + $4}'; }

for family in 4 6; do
    if [ $family = 4 ]; then
        own=192.0.2.1 first=192.0.2.11 second=192.0.2.12 largest=1422
    else
        own=fd00::1 first=fd00::11 second=fd00::12 largest=1402
    fi
    for port in 4789 8472; do
        case $family in 4) conf $port $first $second ;; *) conf $port "[$first]" "[$second]" ;; esac > "$work/n1.yaml"
        up n1
        # One remote: vxseal is all that k1 knows.
        for checksum in on off; do
            case $family$checksum in
                4on) options=udpcsum ;; 4off) options=noudpcsum ;;
                6on) options="noudp6zerocsumtx noudp6zerocsumrx" ;; 6off) options="udp6zerocsumtx udp6zerocsumrx" ;;
            esac
            kernel k1 11 dstport $port local $first remote $own $options
            until_true 10 "one remote, IPv$family, port $port, checksum $checksum" reach n1 10.99.0.11
            until_true 10 "and back" reach k1 fd99::1
            reach k1 -s $largest -M do 10.99.0.1 || fail "full size from the kernel, IPv$family"
            reach n1 -s $largest -M do 10.99.0.11 || fail "full size to the kernel, IPv$family"
            [ "$(errors k1)" = 0 ] || fail "the kernel counted errors, IPv$family, port $port, checksum $checksum"
            ip -n k1 link del vx43
            forget
        done
        # Static tables of several remotes: head-end replication by all three. First they learn; then k1 knows addresses from
        # its table alone, and with its own copy of the station's entry reaches k2 directly.
        for learning in learning nolearning; do
            kernel k1 11 dstport $port local $first $learning
            kernel k2 12 dstport $port local $second
            for pair in "k1 $own" "k1 $second" "k2 $own" "k2 $first"; do
                ip netns exec "${pair% *}" bridge fdb append 00:00:00:00:00:00 dev vx43 dst "${pair#* }"
            done
            [ $learning = learning ] || ip netns exec k1 bridge fdb add "$(ip netns exec n1 cat /sys/class/net/vxp43/address)" \
                dev vx43 dst $own
            everybody "several remotes, IPv$family, port $port, $learning"
            for n in k1 k2; do
                [ "$(errors $n)" = 0 ] || fail "$n counted errors, IPv$family, port $port"
                ip -n $n link del vx43
            done
            forget
        done
        stop n1 TERM
    done
done

# What leaves vxseal, as tshark reads it: super-frames cut, flooded and fragmented, every checksum and length right.
for case in "4789 192.0.2.11 192.0.2.12 192.0.2.1" "8472 fd00::11 fd00::12 fd00::1"; do
    set -- $case
    case $2 in *:*) conf "$1" "[$2]" "[$3]" ;; *) conf "$1" "$2" "$3" ;; esac > "$work/n1.yaml"
    up n1
    kernel k1 11 dstport "$1" local "$2" remote "$4"
    until_true 10 "k1 answers" reach n1 10.99.0.11
    rm -f "$work/wire.pcapng" "$work/tshark.log"
    ip netns exec n1 tshark -q -i u -w "$work/wire.pcapng" -f "udp dst port $1" > "$work/tshark.log" 2>&1 & children+=($!)
    tshark=$!
    until_true 20 "tshark listens" grep -q "Capturing on" "$work/tshark.log"
    has_captured() { reach n1 10.99.0.11; [ "$(tshark -r "$work/wire.pcapng" 2>/dev/null | wc -l)" -gt 0 ]; }
    until_true 20 "tshark captures" has_captured
    ip -n n1 neigh flush dev vxp43; ip -n k1 neigh flush dev vx43
    reach n1 10.99.0.11; reach n1 fd99::11
    ip netns exec n1 ping -q -c 2 -i 0.05 -W 2 -s 3000 10.99.0.11 >/dev/null || fail "fragments"
    ip netns exec k1 iperf3 -s -1 >/dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec k1 ss -ltn | grep -q 5201"
    ip netns exec n1 timeout 20 iperf3 -c 10.99.0.11 -n 2M > "$work/iperf.log" 2>&1 || fail "TCP"
    ip netns exec k1 iperf3 -s -1 >/dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec k1 ss -ltn | grep -q 5201"
    ip netns exec n1 timeout 20 iperf3 -6 -u -b 50M -l 800 -c fd99::11 -n 400K > "$work/iperf.log" 2>&1 || fail "UDP"
    kill "$tshark"; wait "$tshark" 2>/dev/null || true
    dissect() {
        tshark -r "${3:-$work/wire.pcapng}" -d "udp.port==$1,vxlan" -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE \
            -o tcp.check_checksum:TRUE -Y "$2" 2>> "$work/tshark.log"
    }
    own="ip.src==192.0.2.1"; case $2 in *:*) own="ipv6.src==fd00::1" ;; esac
    for seen in arp icmp icmpv6 tcp "udp.dstport==5201" "ip.flags.mf==1"; do
        [ "$(dissect "$1" "$own && vxlan.vni==43 && $seen" | wc -l)" -gt 0 ] || fail "the capture holds no $seen"
    done
    complaint="_ws.malformed || ip.checksum.status==Bad || udp.checksum.status==Bad || tcp.checksum.status==Bad \
        || icmp.checksum.status==Bad || icmpv6.checksum.status==Bad || vxlan.flag_i==0 || vxlan.reserved8!=0 \
        || udp.checksum.zero || _ws.expert.severity>=Error"
    dissect "$1" "$own && ($complaint)" > "$work/complaints"
    [ ! -s "$work/complaints" ] || fail "tshark complains on port $1: $(head -5 "$work/complaints")"
    # It does complain of the same capture with errors put in.
    editcap --seed 7 -E 0.001 "$work/wire.pcapng" "$work/broken.pcapng" 2>/dev/null
    [ "$(dissect "$1" "$complaint" "$work/broken.pcapng" | wc -l)" -gt 0 ] || fail "tshark complains of nothing at all"
    ip -n k1 link del vx43
    stop n1 TERM
done
echo PASSED
