# The kernel's VXLAN device as a peer: both directions, checksums it accepts, and what a gateway must refuse.
. "$(dirname "$0")/common.sh"
node n1 192.0.2.1 fd00::1; node k 192.0.2.9 fd00::9; node x 192.0.2.66 fd00::66; genkey n1
{ head_of n1; cat <<Y
plaintextListen: ["0.0.0.0:4789", "[::]:4789"]
networks:
  - {vni: 42, device: vxs42}
  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.1/24]}
  - {vni: 44, device: vxp44, mode: plaintext, addresses: ["fd99::1/64"]}
peers:
  - {name: leaf, plaintext: true, endpoint: "192.0.2.9:4789", networks: [43]}
  - {name: leaf6, plaintext: true, endpoint: "[fd00::9]:4789", networks: [44]}
Y
} > "$work/n1.yaml"
# On a veth the kernel would hand over tunnelled TCP super-frames whole, which no cable carries.
ip netns exec k ethtool -K u tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off >/dev/null
ip -n k link add vx43 type vxlan id 43 dstport 4789 local 192.0.2.9 remote 192.0.2.1
ip -n k addr add 10.99.0.9/24 dev vx43; ip -n k link set vx43 up
ip -n k link add vx44 type vxlan id 44 dstport 4789 local fd00::9 remote fd00::1
ip -n k addr add fd99::9/64 dev vx44 nodad; ip -n k link set vx44 up
up n1
until_true 10 "the kernel node answers" reach n1 10.99.0.9
until_true 10 "over an IPv6 underlay" reach n1 fd99::9
reach k -s 1422 -M do 10.99.0.1 >/dev/null || fail "full size from the kernel"
every_size n1 k 10.99.0.9 1422 fd99::9 1382
every_size k n1 10.99.0.1 1422 fd99::1 1382
for n in n1 k; do answer_groups $n; done
all_answer n1 vxp43 10.99.0.255 10.99.0.9
all_answer k vx43 10.99.0.255 10.99.0.1
all_answer n1 vxp44 ff02::1 "$(link_local k vx44)"
all_answer k vx44 ff02::1 "$(link_local n1 vxp44)"
for pair in "n1 k 10.99.0.9" "k n1 10.99.0.1"; do
    set -- $pair
    ip netns exec "$2" iperf3 -s -1 >/dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec $2 ss -ltn | grep -q 5201"
    ip netns exec "$1" timeout 20 iperf3 -c "$3" -n 8M > "$work/iperf.log" 2>&1 || fail "TCP from $1 to $2"
done
ip -n k -s link show vx43 | awk '/RX/ {getline; if ($3 != 0) exit 1}' || fail "the kernel counted receive errors"

send() { ip netns exec "$1" bash -c "printf '$2' > /dev/udp/192.0.2.1/4789"; }
check_drop() { local before; before=$(dropped n1 "$1"); send "$2" "$3"; until_true 5 "drop $1" saw_drop n1 "$1" "$before"; }
frame='\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xb5payload'
check_drop plaintextForSealed k "\\x08\\x00\\x00\\x00\\x00\\x00\\x2a\\x00$frame"
check_drop unknownSource x "\\x08\\x00\\x00\\x00\\x00\\x00\\x2b\\x00$frame"
check_drop vniNotAllowed k "\\x08\\x00\\x00\\x00\\x00\\x00\\x2c\\x00$frame"
check_drop unknownVNI k "\\x08\\x00\\x00\\x00\\x00\\x00\\x63\\x00$frame"
check_drop invalidPlaintext k '\x00\x00\x00\x00\x00\x00\x2b\x00'
echo PASSED
