# Open vSwitch with a VXLAN port and its datapath in user space: a switch of its own at each end of the same network.
. "$(dirname "$0")/common.sh"
node n1 192.0.2.1 fd00::1; node o 192.0.2.5 fd00::5; genkey n1
# Its packets come from a raw socket: nobody would complete a checksum that is left to the hardware.
for device in "n1 u" "o u" "wire pn1" "wire po"; do ip netns exec ${device% *} ethtool -K ${device#* } tx off gso off tso off gro off >/dev/null 2>&1 || true; done
{ head_of n1; cat <<Y
networks:
  - {vni: 43, device: vxp43, mode: plaintext, addresses: [10.99.0.1/24, "fd99::1/64"]}
peers:
  - {name: ovs, plaintext: true, endpoint: "192.0.2.5:4789", networks: [43]}
Y
} > "$work/n1.yaml"
up n1
export OVS_RUNDIR=$work/ovs OVS_LOGDIR=$work/ovs OVS_DBDIR=$work/ovs
mkdir "$work/ovs"
schema=$(find /usr/share/openvswitch -name vswitch.ovsschema | head -1)
ovsdb-tool create "$work/ovs/conf.db" "$schema"
ip netns exec o ovsdb-server --remote="punix:$work/ovs/db.sock" "$work/ovs/conf.db" > "$work/ovsdb.log" 2>&1 & children+=($!)
until_true 10 "the switch's database answers" ovs-vsctl --db="unix:$work/ovs/db.sock" --no-wait init
ip netns exec o ovs-vswitchd "unix:$work/ovs/db.sock" > "$work/ovs.log" 2>&1 & children+=($!)
vsctl() { ovs-vsctl --timeout=20 --db="unix:$work/ovs/db.sock" "$@"; }
vsctl add-br brp -- set bridge brp datapath_type=netdev
vsctl add-port brp u
vsctl add-br br-int -- set bridge br-int datapath_type=netdev
vsctl add-port br-int vx0 -- set interface vx0 type=vxlan options:remote_ip=192.0.2.1 options:key=43 options:dst_port=4789
# The underlay address belongs to the bridge that holds the underlay port.
ip -n o addr flush dev u
ip -n o addr add 192.0.2.5/24 dev brp
ip -n o link set brp up
ip -n o addr add 10.99.0.5/24 dev br-int
ip -n o addr add fd99::5/64 dev br-int nodad
ip -n o link set br-int mtu 1450 up
ip netns exec o ethtool -K br-int tx off >/dev/null 2>&1 || true
ip netns exec o ethtool -K brp tx off >/dev/null 2>&1 || true
until_true 20 "the underlay answers" reach n1 192.0.2.5
appctl() { ovs-appctl -t "$(ls "$work"/ovs/ovs-vswitchd.*.ctl)" "$@"; }
appctl tnl/neigh/set brp 192.0.2.1 "$(ip netns exec n1 cat /sys/class/net/u/address)" >/dev/null
until_true 20 "the station behind the switch answers" reach n1 10.99.0.5
until_true 20 "over IPv6 as well" reach n1 fd99::5
until_true 20 "and the other way" reach o 10.99.0.1
every_size n1 o 10.99.0.5 1422 fd99::5 1402
every_size o n1 10.99.0.1 1422 fd99::1 1402
[ "$(dropped n1 unknownSource)" = 0 ] && [ "$(dropped n1 invalidPlaintext)" = 0 ] || fail "frames of the switch were refused"
echo PASSED
