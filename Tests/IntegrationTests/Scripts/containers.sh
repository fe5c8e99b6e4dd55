# Real containers on two nodes: containerd and runc call vxseal-cni, and what the containers say to each other is sealed on the wire.
# Each node has a containerd of its own; a container's root is busybox. Needs root, for runc makes control groups.
# In a process namespace: packet processes outlive their agents, and containers their runtime, but nothing this script.
if [ $$ != 1 ]; then exec unshare --pid --fork --kill-child --mount-proc bash "$0"; fi
. "$(dirname "$0")/common.sh"
# containerd's name space, which is the control groups' name as well.
space=${work##*/}
end() {
    kill -KILL -1 2> /dev/null || true
    wait
    find /sys/fs/cgroup -depth -type d -path "*/$space*" -exec rmdir {} + 2> /dev/null || true
    remove_work
}
trap end EXIT
plugin=$(dirname "$VXSEAL")/vxseal-cni
[ -x "$plugin" ] || fail "no $plugin"

# Where a runtime looks for networks and plugins. Layers over the host's folders, in this mount namespace alone; /run is its own.
for folder in etc opt; do
    mkdir -p "/run/layers/$folder" "/run/layers/$folder.work"
    mount -t overlay -o "lowerdir=/$folder,upperdir=/run/layers/$folder,workdir=/run/layers/$folder.work" overlay "/$folder"
done
mkdir -p /etc/cni/net.d /opt/cni/bin
rm -f /etc/cni/net.d/*
"$VXSEAL" install-cni --plugin "$plugin" --network "$VXSEAL_ROOT/Configs/cni/10-vxseal.conflist" > "$work/installed" ||
    fail "install-cni: $(cat "$work/installed")"
for name in host-local portmap; do cp "/usr/lib/cni/$name" /opt/cni/bin/; done

mkdir -p /run/root/bin /run/root/www /run/root/proc /run/root/sys /run/root/dev
cp "$(command -v busybox)" /run/root/bin/
for name in sh ping wget httpd sleep ip; do ln -s busybox "/run/root/bin/$name"; done
marker=seen-by-nobody-on-the-wire
for line in $(seq 20000); do echo "$marker $line"; done > /run/root/www/page

directory=$work/directory
mkdir -p "$directory/nodes"
echo '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxseal"}}' > "$directory/net-conf.json"

# on NODE COMMAND...: in the node's network, where the plugin finds the node's own subnet and state
on() {
    nsenter --net="/run/netns/$1" unshare -m bash -euc '
        mkdir -p "$0/flannel" "$0/cni" /run/flannel /var/lib/cni
        mount --bind "$0/flannel" /run/flannel
        mount --bind "$0/cni" /var/lib/cni
        exec "$@"' "/run/$1" "${@:2}"
}
for n in 1 2; do
    node "n$n" "198.51.100.$n" "fd00:51::$n"
    mkdir -p "$work/n$n.state" "/run/n$n/flannel"
    echo "{\"subnets\": [\"10.244.$n.0/24\"]}" > "$directory/nodes/n$n.json"
    cat > "$work/n$n.yaml" << END
node: n$n
privateKeyFile: $work/n$n.key
stateDirectory: $work/n$n.state
adminSocket: $work/n$n.sock
directory: {type: file, path: $directory}
interface: u
subnetFile: /run/n$n/flannel/subnet.env
END
    ip netns exec "n$n" "$VXSEAL" agent --allow-volatile-state -c "$work/n$n.yaml" 2>> "$work/n$n.log" &
    children+=($!)
    cat > "$work/n$n.toml" << END
version = 2
root = "/run/n$n/root"
state = "/run/n$n/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
address = "/run/n$n/containerd.sock"
END
    on "n$n" containerd -c "$work/n$n.toml" > "$work/containerd$n.log" 2>&1 &
    children+=($!)
done
runtime() { on "n$1" ctr -n "$space" -a "/run/n$1/containerd.sock" "${@:2}"; }
for n in 1 2; do
    until_true 30 "n$n has a subnet" test -s "/run/n$n/flannel/subnet.env"
    until_true 30 "containerd of n$n answers" runtime "$n" version
done

declare -A containers
for n in 1 2; do
    runtime "$n" run --rm --cni --rootfs /run/root "c$n" /bin/httpd -f -p 80 -h /www > "$work/container$n.log" 2>&1 &
    containers[$n]=$!
    children+=($!)
done
number=0
inside() { number=$((number + 1)); runtime "$1" task exec --exec-id "e$BASHPID-$number" "c$1" "${@:2}"; }
declare -A addresses
for n in 1 2; do
    until_true 30 "c$n runs" inside "$n" /bin/ip addr show eth0
    inside "$n" /bin/ip addr show eth0 > "$work/interface"
    addresses[$n]=$(sed -n 's#.*inet \([0-9.]*\)/24.*#\1#p' "$work/interface")
    [[ "${addresses[$n]}" = 10.244.$n.* && "$(cat "$work/interface")" = *"mtu 1414"* ]] ||
        fail "c$n has not what the agent gave: $(cat "$work/interface")"
done
until_true 20 "c1 reaches c2" inside 1 /bin/ping -c 1 -W 1 "${addresses[2]}"
inside 2 /bin/ping -c 3 -W 2 "${addresses[1]}" > "$work/ping" || fail "c2 does not reach c1: $(cat "$work/ping")"

# TCP, with somebody on the wire who looks for what is said.
cat > "$work/wire.py" << 'END'
import signal, socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
wire.bind(("pn1", 0))
clear = sealed = 0
def end(*_):
    print(clear, sealed, flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("listens", flush=True)
while True:
    frame = wire.recv(1 << 17)
    clear += sys.argv[1].encode() in frame
    sealed += frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == (47890).to_bytes(2, "big")
END
nsenter --net=/run/netns/wire python3 "$work/wire.py" $marker > "$work/wire" & watcher=$!; children+=("$watcher")
until_true 10 "somebody listens on the wire" grep -q listens "$work/wire"
inside 1 /bin/wget -q -O - "http://${addresses[2]}/page" > "$work/page" || fail "no page"
cmp "$work/page" /run/root/www/page || fail "the page is another"
kill "$watcher"; wait "$watcher" || true
read -r clear sealed <<< "$(tail -1 "$work/wire")"
[ "$clear" = 0 ] && [ "$sealed" -ge 20 ] || fail "$clear frames with the marker in the clear, $sealed sealed"

# A container that ends gives its address and its interface back.
given() { find "/run/n$1/cni" -name '10.244.*' | wc -l; }
[ "$(given 1) $(given 2)" = "1 1" ] || fail "addresses given: $(find /run/n1/cni /run/n2/cni)"
for n in 1 2; do
    runtime "$n" task kill -s KILL "c$n"
    wait "${containers[$n]}" || true
    [ "$(given "$n")" = 0 ] || fail "c$n left its address: $(find "/run/n$n/cni")"
    [ -z "$(ip -n "n$n" -o link show type veth | grep -v ' u@' || true)" ] || fail "c$n left an interface: $(ip -n "n$n" link)"
done
echo "PASSED: two containers by containerd and runc, $sealed sealed datagrams, none in the clear"
