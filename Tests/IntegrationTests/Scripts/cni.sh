# The CNI plugin by hand, as a runtime calls it, with the real host-local, portmap and bridge: this namespace is the node, pods are
# namespaces of their own.
. "$(dirname "$0")/common.sh"
plugin=$(dirname "$VXSEAL")/vxseal-cni
[ -x "$plugin" ] || fail "no $plugin"
mkdir -p "$work/bin" /run/flannel
for name in host-local portmap bridge; do ln -s "/usr/lib/cni/$name" "$work/bin/$name"; done
data=$work/data
ip link set lo up
# What a node has in any case: an address to speak from.
ip link add underlay type bridge
ip addr add 192.0.2.7/24 dev underlay
ip addr add fd00:51::7/64 dev underlay nodad
ip link set underlay up

# subnet FAMILY [MASQUERADED]: what the agent writes
subnet() {
    {
        case $1 in *4*) printf 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n' ;; esac
        case $1 in *6*) printf 'FLANNEL_IPV6_NETWORK=fd00:244::/48\nFLANNEL_IPV6_SUBNET=fd00:244:0:3::1/64\n' ;; esac
        printf 'FLANNEL_MTU=1414\nFLANNEL_IPMASQ=%s\n' "${2:-true}"
    } > /run/flannel/subnet.env
}
version=1.1.0 mode=bridge
# conf [MEMBERS]: the configuration
conf() {
    printf '{"cniVersion":"%s","name":"net","type":"vxseal-cni","mode":"%s","dataDir":"%s"%s}' "$version" "$mode" "$data" "${1:-}"
}
# call PROGRAM COMMAND POD [CONFIGURATION]: what it prints goes to $work/out
call() {
    printf '%s' "${4-$(conf)}" | env CNI_COMMAND="$2" CNI_CONTAINERID="$3" CNI_NETNS="/run/netns/$3" CNI_IFNAME=eth0 \
        CNI_PATH="$work/bin" "$1" > "$work/out" 2> "$work/complaints"
}
cni() { call "$plugin" "$@"; }
must() { cni "$@" || fail "$*: $(cat "$work/out")"; }
value() { python3 -c "import json, sys; r = json.load(open(sys.argv[1])); print($1)" "${2:-$work/out}"; }
# refused CODE COMMAND POD [CONFIGURATION]: ends with an error of this code, in the specification's form
refused() {
    local code=$1 status=0
    shift
    cni "$@" || status=$?
    [ $status = 1 ] || fail "$* ended with $status: $(cat "$work/out")"
    [ "$(value 'r["code"]')" = "$code" ] || fail "$* is not refused with $code: $(cat "$work/out")"
    [ -n "$(value 'r["msg"]')" ] && [ -n "$(value 'r["cniVersion"]')" ] || fail "$*: $(cat "$work/out")"
}
pod() { ip netns add "$1"; ip -n "$1" link set lo up; }
no_pod() { ip netns del "$1"; }
outside() { ip -o link show type veth | grep -c veth || true; }
reserved() { find "$data" "$work/elsewhere" -name '10.*' -o -name 'fd00*' 2> /dev/null | wc -l; }
records() { find "$data/attachments" -type f 2> /dev/null | wc -l; }
nothing_left() {
    [ "$(outside) $(reserved) $(records)" = "0 0 0" ] ||
        fail "$1 leaves $(outside) devices, $(reserved) addresses, $(records) records: $(ip -br link; find "$data")"
}
# with_result MEMBERS: the configuration with the last result
with_result() { conf ",\"prevResult\":$(cat "$work/result")$*"; }

# shows TEXT COMMAND...: a pipe to `grep -q` would end the command before it has told all
shows() { [[ "$("${@:2}")" = *"$1"* ]]; }

# VERSION
cni VERSION x '{"cniVersion":"0.4.0"}'
[ "$(value '" ".join(r["supportedVersions"])') $(value 'r["cniVersion"]')" = "0.3.1 0.4.0 1.0.0 1.1.0 0.4.0" ] || fail "VERSION: $(cat "$work/out")"
refused 11 ADD x
grep -q "vxseal agent" "$work/out" || fail "no word of how to mend a missing file: $(cat "$work/out")"

# Both modes, both families: addresses, ping between pods, to and from the node, CHECK, DEL, DEL again.
pinged() { ip netns exec "$1" ping -nq -c 1 -W 2 "${@:2}" > "$work/ping" 2>&1 || fail "$mode $family: ping from $*: $(cat "$work/ping")"; }
for mode in bridge routed; do
    for family in 4 6 46; do
        subnet $family
        pod p1; pod p2
        must ADD p1; cp "$work/out" "$work/result"
        must ADD p2; cp "$work/out" "$work/second"
        shows "mtu 1414" ip -n p1 link show eth0 || fail "the MTU: $(ip -n p1 link show eth0)"
        for address in $(value '" ".join(i["address"] for i in r["ips"])' "$work/second"); do
            address=${address%/*}
            pinged p1 "$address"
            ping -nq -c 1 -W 2 "$address" > /dev/null || fail "$mode $family: the node does not reach $address"
        done
        if [ $mode = bridge ]; then
            for gateway in $(value '" ".join(i["gateway"] for i in r["ips"])' "$work/result"); do pinged p1 "$gateway"; done
            shows "hairpin on" bridge -d link || fail "no hairpin: $(bridge -d link)"
        elif [ $family != 4 ]; then
            pinged p1 fe80::1%eth0
        fi
        # At once, without a wait for duplicates; and no advertisement is believed.
        [ $family != 4 ] && shows tentative ip -n p1 addr show eth0 && fail "a tentative address: $(ip -n p1 addr show eth0)"
        host=$(value '[i["name"] for i in r["interfaces"] if i["name"].startswith("veth")][0]' "$work/result")
        [ "$(cat "/proc/sys/net/ipv6/conf/$host/accept_ra")$(ip netns exec p1 cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" = 00 ] ||
            fail "router advertisements are believed"
        must CHECK p1 "$(with_result)"
        ip -n p1 addr flush dev eth0
        refused 103 CHECK p1 "$(with_result)"
        [ "$(stat -c %a "$data/attachments/net/p1:eth0")" = 600 ] || fail "the record's mode"
        for n in 1 2 3; do must DEL p1; must DEL p2; done
        nothing_left "$mode $family"
        no_pod p1; no_pod p2
    done
    [ $mode = routed ] || ip link del cni0
done
mode=bridge

# Frames that came in by a port leave by it again, and without the mode they do not: two devices behind one port.
subnet 4
pod p1; pod in1; pod in2
behind() { # what of two macvlan devices in VEPA mode, which leave the switching to the bridge
    must ADD p1 "$1"
    for n in 1 2; do
        ip -n p1 link add "m$n" link eth0 type macvlan mode vepa
        ip -n p1 link set "m$n" netns "in$n"
        ip -n "in$n" addr add "10.244.3.20$n/24" dev "m$n"
        ip -n "in$n" link set "m$n" up
    done
    status=0
    ip netns exec in1 ping -nq -c 1 -W 1 10.244.3.202 > /dev/null || status=$?
    must DEL p1 "$1"
}
behind "$(conf)"
[ $status = 0 ] || fail "no hairpin"
behind "$(conf ',"hairpinMode":false')"
[ $status != 0 ] || fail "hairpin without hairpinMode"
no_pod in1; no_pod in2

# As the reference plugin has it, but for names and MAC addresses.
ip netns add reference
subnet 46
for version in 0.3.1 0.4.0 1.0.0; do
    must ADD p1
    cp "$work/out" "$work/ours"
    must DEL p1
    printf '{"cniVersion":"%s","name":"net","type":"bridge","bridge":"cni0","isDefaultGateway":true,"hairpinMode":true,"mtu":1414,
        "ipam":{"type":"host-local","dataDir":"%s","ranges":[[{"subnet":"10.244.3.0/24"}],[{"subnet":"fd00:244:0:3::/64"}]],
        "routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00:244::/48"}]}}' "$version" "$data/addresses" > "$work/reference.conf"
    for command in ADD DEL; do
        ip netns exec reference env CNI_COMMAND=$command CNI_CONTAINERID=r CNI_NETNS=/run/netns/p1 CNI_IFNAME=eth0 \
            CNI_PATH="$work/bin" "$work/bin/bridge" < "$work/reference.conf" > "$work/theirs.$command" || fail "the reference plugin"
    done
    python3 - "$work/ours" "$work/theirs.ADD" << 'END' || fail "not as the reference plugin: $(cat "$work/ours" "$work/theirs.ADD")"
import json, sys
ours, theirs = (json.load(open(name)) for name in sys.argv[1:])
for result in ours, theirs:
    # Newer ones leave it out when it is empty.
    if result.get("dns") == {}: del result["dns"]
    for interface in result["interfaces"]:
        assert len(interface["mac"]) == 17
        interface["mac"] = ""
        if interface["name"].startswith("veth"): interface["name"] = "veth"
    # They count up.
    for ip in result["ips"]: ip["address"] = ip["address"].rsplit(".", 1)[0] if "." in ip["address"] else ip["address"].rsplit(":", 1)[0]
assert ours == theirs, (ours, theirs)
END
done
version=1.1.0
ip netns del reference
nothing_left "the comparison"

# DEL when other things are gone: the agent's file, the record, both, the namespace.
for gone in file record both namespace everything; do
    subnet 46
    must ADD p1
    case $gone in file | both | everything) rm /run/flannel/subnet.env ;; esac
    case $gone in record | both | everything) rm "$data/attachments/net/p1:eth0" ;; esac
    case $gone in namespace | everything) no_pod p1 ;; esac
    must DEL p1; must DEL p1
    nothing_left "DEL without $gone"
    [ -e /run/netns/p1 ] || pod p1
done
# A record that is no JSON is as none.
subnet 4
must ADD p1; echo nonsense > "$data/attachments/net/p1:eth0"; must DEL p1
nothing_left "DEL with a broken record"
# A pod that the reference plugin made, before it was replaced.
call "$work/bin/bridge" ADD p1 "{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"type\":\"bridge\",\"bridge\":\"cni0\",\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"$data/addresses\",\"subnet\":\"10.244.3.0/24\"}}" ||
    fail "the reference plugin: $(cat "$work/out")"
must DEL p1
nothing_left "DEL of another plugin's pod"

# STATUS and GC
must STATUS x
mv /run/flannel/subnet.env /run/flannel/away
refused 50 STATUS x
mv /run/flannel/away /run/flannel/subnet.env
refused 50 STATUS x "$(conf ',"ipam":{"type":"absent"}')"
version=1.0.0; refused 1 STATUS x; refused 1 GC x; version=1.1.0
for n in 2 3 4; do pod "p$n"; done
for n in 1 2 3 4; do must ADD "p$n"; done
rm "$data/attachments/net/p3:eth0"
no_pod p2
refused 7 GC x
must GC x "$(conf ',"cni.dev/valid-attachments":[{"containerID":"p4","ifname":"eth0"}]')"
[ "$(outside) $(reserved) $(records)" = "1 1 1" ] || fail "GC: $(ip -br link; find "$data")"
ip netns exec p4 ping -nq -c 1 -W 2 10.244.3.1 > /dev/null || fail "GC took what is in use"
must GC x "$(conf ',"cni.dev/valid-attachments":null')"
nothing_left GC
for n in 3 4; do no_pod "p$n"; done

# What does not fit: each a proper error, and nothing is left.
head -c 10000000 /dev/urandom > "$work/garbage"
status=0
env CNI_COMMAND=ADD CNI_CONTAINERID=p1 CNI_NETNS=/run/netns/p1 CNI_IFNAME=eth0 CNI_PATH="$work/bin" "$plugin" < "$work/garbage" > "$work/out" || status=$?
[ "$status $(value 'r["code"]')" = "1 6" ] || fail "10 MB of garbage: $(cat "$work/out")"
refused 6 ADD p1 ''
refused 6 ADD p1 '{"cniVersion"'
version=0.2.0; refused 1 ADD p1; version=1.1.0
refused 2 ADD p1 "$(conf ',"promiscMode":true')"
refused 3 ADD absent
refused 4 ADD ../p1
refused 7 ADD p1 "$(conf ',"mtu":12')"
refused 7 ADD p1 "$(conf ',"bridge":"lo"')"
refused 7 ADD p1 "$(conf ',"prevResult":{}')"
refused 101 ADD p1 "$(conf ',"ipam":{"type":"absent"}')"
ln -s /bin/true "$work/bin/silent"
refused 101 ADD p1 "$(conf ',"ipam":{"type":"silent"}')"
ln -s /bin/false "$work/bin/failing"
refused 101 ADD p1 "$(conf ',"ipam":{"type":"failing"}')"
ln -s /proc/self/ns/net "/run/netns/own"
refused 4 ADD own
rm /run/netns/own; : > /run/netns/file
refused 5 ADD file
rm /run/netns/file
printf 'FLANNEL_NETWORK=10.244.0.0/16\n' > /run/flannel/subnet.env
refused 6 ADD p1
subnet 4
nothing_left "what is refused"
ip -n p1 link add eth0 type bridge
refused 102 ADD p1
ip -n p1 link del eth0
nothing_left "an interface that exists"
# The kernel refuses the last step: a gateway that is nowhere.
refused 100 ADD p1 "$(conf ',"ipam":{"routes":[{"dst":"10.99.0.0/16"},{"dst":"10.98.0.0/16"},{"dst":"10.99.0.0/16"}]}')"
nothing_left "a route that is refused"
# ADD twice: the second is refused, and the first stays.
must ADD p1
refused 102 ADD p1
ip netns exec p1 ping -nq -c 1 -W 2 10.244.3.1 > /dev/null || fail "a second ADD broke the first"
must DEL p1
nothing_left "ADD twice"
# A full disk, for both plugins and for this one alone.
mkdir -p "$work/full"
mount -t tmpfs -o size=64k tmpfs "$work/full"
head -c 100000 /dev/zero > "$work/full/ballast" 2> /dev/null || true
mine=$data data=$work/full/data
cni ADD p1 && fail "ADD on a full disk"
[ -n "$(value 'r["msg"]')" ] || fail "a full disk: $(cat "$work/out")"
refused 5 ADD p1 "$(conf ",\"ipam\":{\"dataDir\":\"$work/elsewhere\"}")"
grep -q "No space left" "$work/out" || fail "a full disk: $(cat "$work/out")"
nothing_left "a full disk"
data=$mine
umount "$work/full"
# A bridge that somebody else gave another address.
ip link del cni0
ip link add cni0 type bridge; ip addr add 10.244.9.1/24 dev cni0; ip link set cni0 up
refused 100 ADD p1
grep -q "ip addr del 10.244.9.1/24 dev cni0" "$work/out" || fail "how to mend the bridge: $(cat "$work/out")"
nothing_left "a bridge with another address"
ip link del cni0
# One of its own follows the node's subnet.
must ADD p1; must DEL p1
sed -i 's/10.244.3.1/10.244.4.1/; s/1414/1400/' /run/flannel/subnet.env
must ADD p1
shows "inet 10.244.4.1/24" ip addr show cni0 || fail "the bridge has not the new subnet: $(ip addr show cni0)"
shows 10.244.3.1 ip addr show cni0 && fail "the bridge has the old subnet still"
shows "mtu 1400" ip link show cni0 || fail "the bridge's MTU"
must DEL p1
no_pod p1
subnet 46

# 20 at once on a node that has no bridge yet: 20 addresses of each family.
ip link del cni0
children_of_add=()
for n in $(seq 20); do pod "q$n"; done
for n in $(seq 20); do
    (
        conf | env CNI_COMMAND=ADD CNI_CONTAINERID="q$n" CNI_NETNS="/run/netns/q$n" CNI_IFNAME=eth0 CNI_PATH="$work/bin" "$plugin" > "$work/q$n"
    ) & children_of_add+=($!)
done
for child in "${children_of_add[@]}"; do wait "$child" || fail "one of 20 at once: $(cat "$work"/q*)"; done
for family in 0 1; do
    count=$(for n in $(seq 20); do value "r['ips'][$family]['address']" "$work/q$n"; done | sort -u | wc -l)
    [ "$count" = 20 ] || fail "20 at once have $count addresses"
done
for n in $(seq 20); do
    ip netns exec "q$n" ping -nq -c 1 -W 2 10.244.3.1 > /dev/null || fail "q$n has no network"
    ip netns exec "q$n" ping -nq -c 1 -W 2 fd00:244:0:3::1 > /dev/null || fail "q$n has no IPv6"
done
children_of_add=()
for n in $(seq 20); do
    (
        conf | env CNI_COMMAND=DEL CNI_CONTAINERID="q$n" CNI_NETNS="/run/netns/q$n" CNI_IFNAME=eth0 CNI_PATH="$work/bin" "$plugin"
    ) & children_of_add+=($!)
done
for child in "${children_of_add[@]}"; do wait "$child" || fail "DEL of one of 20 at once"; done
nothing_left "20 at once"
for n in $(seq 20); do no_pod "q$n"; done

# Out of the overlay: masqueraded where the agent does not, and in by portmap, which comes after in the list.
pod p1; pod world
ip link add wan type veth peer name u netns world
ip addr add 198.51.100.1/24 dev wan; ip link set wan up
ip -n world addr add 198.51.100.2/24 dev u; ip -n world link set u up
subnet 4 true
must ADD p1
ip netns exec p1 ping -nq -c 1 -W 1 198.51.100.2 > /dev/null && fail "an answer without masquerading or a route"
must DEL p1
subnet 4 false
must ADD p1; cp "$work/out" "$work/result"
until_true 5 "an answer by masquerading" ip netns exec p1 ping -nq -c 1 -W 1 198.51.100.2
chain='{"cniVersion":"1.0.0","name":"net","type":"portmap","runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},"prevResult":%s}'
version=1.0.0; must DEL p1; must ADD p1; cp "$work/out" "$work/result"
call "$work/bin/portmap" ADD p1 "$(printf "$chain" "$(cat "$work/result")")" || fail "portmap: $(cat "$work/out" "$work/complaints")"
python3 -c 'import json, sys; a, b = (json.load(open(n)) for n in sys.argv[1:]); assert {"dns": {}} | a == {"dns": {}} | b, (a, b)' "$work/out" "$work/result" ||
    fail "portmap has changed the result: $(cat "$work/out")"
cat > "$work/web.py" << 'END'
import http.server, socketserver
class Server(http.server.ThreadingHTTPServer):
    # Asks no name server who this is, which is out of reach.
    server_bind = socketserver.TCPServer.server_bind
Server(("", 80), http.server.SimpleHTTPRequestHandler).serve_forever()
END
ip netns exec p1 python3 "$work/web.py" > "$work/http.log" 2>&1 & children+=($!)
until_true 5 "the pod listens" sh -c 'ip netns exec p1 ss -ltn | grep -q ":80 "'
ip netns exec world curl -sf -m 3 http://198.51.100.1:8080/ > /dev/null || fail "no way in by the host's port"
ip netns exec p1 curl -sf -m 3 http://198.51.100.1:8080/ > /dev/null || fail "a pod does not reach itself by the host's port"
call "$work/bin/portmap" DEL p1 "$(printf "$chain" "$(cat "$work/result")")" || fail "portmap DEL: $(cat "$work/out")"
must DEL p1 "$(with_result)"
ip netns exec world curl -sf -m 1 http://198.51.100.1:8080/ > /dev/null && fail "the host's port is open still"
nothing_left "the end"
echo PASSED
