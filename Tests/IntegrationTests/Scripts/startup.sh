# What a user gets wrong: message, exit code, and nothing left behind.
. "$(dirname "$0")/common.sh"
node n1 192.0.2.1 fd00::1; genkey n1; genkey n2
good() { head_of n1; printf 'networks:\n  - vni: 42\n  - vni: 43\n    device: %s\npeers:\n' "${1:-second}"; peer_of n2 192.0.2.2:47890; }
expect() { # CODE WORDS: runs the daemon and compares
    local code=0
    ip netns exec n1 ${as:-} timeout 10 "$VXSEAL" up --allow-volatile-state -c "$work/n1.yaml" > "$work/out" 2>&1 || code=$?
    [ $code = "$1" ] || { cat "$work/out"; fail "exit code $code instead of $1: $2"; }
    grep -q "$2" "$work/out" || { cat "$work/out"; fail "the message lacks: $2"; }
    ip -n n1 link show vxs42 >/dev/null 2>&1 && fail "a device was left behind: $2"
    [ ! -e "$work/n1.sock" ] || fail "a socket was left behind: $2"
}
good > "$work/n1.yaml"; echo "wrong: 1" >> "$work/n1.yaml"; expect 78 "unknown key"
good > "$work/n1.yaml"; chmod 644 "$work/n1.key"; expect 78 "chmod 600"; chmod 600 "$work/n1.key"
ip -n n1 link add taken type bridge
good taken > "$work/n1.yaml"; expect 1 "exists already"
good > "$work/n1.yaml"; echo 'listen: "192.0.2.200:47890"' >> "$work/n1.yaml"; expect 1 "not on this machine"
as="setpriv --inh-caps=-net_admin --bounding-set=-net_admin"
good > "$work/n1.yaml"; expect 1 "needs CAP_NET_ADMIN"
as=
good > "$work/n1.yaml"
mount -t tmpfs tmpfs /dev/net; expect 1 "load the tun module"; umount /dev/net
mkdir -p "$work/state-n1"; mount -t tmpfs tmpfs "$work/state-n1"; mount -o remount,ro "$work/state-n1"
expect 1 "Read-only file system"; umount "$work/state-n1"
up n1
[ "$(stat -c %a "$work/n1.sock")" = 600 ] || fail "the admin socket is not its user's alone"
until_true 25 "a peer that does not answer is named" grep -q "no answer from 192.0.2.2:47890" "$work/n1.log"
"$VXSEAL" status --socket "$work/n1.sock" | grep -q "no answer yet" || fail "status does not say what to look at"
code=0; ip netns exec n1 "$VXSEAL" up --allow-volatile-state -c "$work/n1.yaml" > "$work/out" 2>&1 || code=$?
[ $code = 1 ] && grep -q "answers on" "$work/out" || fail "a second daemon on the same socket"
sed "s#n1.sock#other.sock#; s#second#third#" "$work/n1.yaml" > "$work/other.yaml"
code=0; ip netns exec n1 "$VXSEAL" up --allow-volatile-state -c "$work/other.yaml" > "$work/out" 2>&1 || code=$?
[ $code = 1 ] && grep -q "port is in use" "$work/out" || { cat "$work/out"; fail "port in use"; }

# Every example file, as its first lines say it is tried; and not without the flag.
examples=0
for file in "$VXSEAL_ROOT"/Configs/*/*.yaml; do
    # Agents' are another kind of file, which AgentConfigurationTests load.
    [ "$(basename "$(dirname "$file")")" != agent ] || continue
    examples=$((examples + 1))
    "$VXSEAL" check --allow-example-keys --allow-volatile-state -c "$file" > "$work/effective" || fail "$file"
    grep -q "^networks:" "$work/effective" || fail "no effective configuration of $file"
    code=0; "$VXSEAL" check --allow-volatile-state -c "$file" > "$work/out" 2>&1 || code=$?
    [ $code = 78 ] && grep -q -- "--allow-example-keys" "$work/out" || fail "the example keys of $file pass: $(cat "$work/out")"
done
[ $examples -ge 3 ] || fail "only $examples files in Configs"
code=0; "$VXSEAL" nonsense > "$work/out" 2>&1 || code=$?; [ $code = 2 ] || fail "wrong usage exits $code"
code=0; "$VXSEAL" genkey --output "$work/n1.key" > "$work/out" 2>&1 || code=$?; [ $code = 1 ] || fail "a key was overwritten"
code=0; "$VXSEAL" status --socket "$work/none.sock" > "$work/out" 2>&1 || code=$?; [ $code = 1 ] || fail "no daemon: $code"
grep -q "(No such file or directory); start one with" "$work/out" || fail "$(cat "$work/out")"
echo PASSED
