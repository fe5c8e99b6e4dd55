# Live reload on a node between two others, under numbered datagrams and one long TCP connection that must not notice: networks,
# peers, entries, bindings and settings come, change and go; files with mistakes are refused whole.
. "$(dirname "$0")/common.sh"
for n in n1 n2 n3; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
for n in n2 n3; do
    { head_of "$n"; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\n  - {vni: 43, addresses: [10.99.0.%s/24]}\n' "${n#n}" "${n#n}"
      # Without an endpoint: where both call at once, it may take five seconds until a call is answered.
      printf 'peers:\n'; peer_of n1 x | sed '/endpoint/d; s/\[42\]/[42, 43]/'; } > "$work/$n.yaml"
done

# The configuration of n1, from these.
network42='addresses: [10.98.0.1/24]' networks='' peer2='' peer3=''
name3=n3 key3=$(cat "$work/n3.pub") at3=192.0.2.3:47890 in2='[42]' in3='[42]'
write() {
    { head_of n1
      printf 'networks:\n  - {vni: 42, %s}\n%s' "$network42" "${networks:+$networks$'\n'}"
      printf 'peers:\n  - {name: n2, publicKey: "%s", endpoint: "192.0.2.2:47890", networks: %s%s}\n' "$(cat "$work/n2.pub")" "$in2" "${peer2:+, $peer2}"
      [ -z "$key3" ] || printf '  - {name: %s, publicKey: "%s", endpoint: "%s", networks: %s%s}\n' "$name3" "$key3" "$at3" "$in3" "${peer3:+, $peer3}"; } > "$work/n1.yaml"
}
reload() { "$VXSEAL" reload --socket "$work/$1.sock"; }
reloads=0
# changes WHAT...: a reload of n1 answers these lines and no others
changes() {
    write
    local answer expected
    answer=$(reload n1 2>&1) || fail "reload: $answer"
    expected=$(printf '%s\n' "$@")
    [ "$answer" = "$expected" ] || fail "a reload answers '$answer' and not '$expected'"
    reloads=$((reloads + 1))
}
# refuses CODE PATTERN...: a reload of n1 ends with the code, says all of it, and changes nothing
refuses() {
    local code=0 expected=$1 before after
    shift
    before=$(shown)
    reload n1 > "$work/refusal" 2>&1 || code=$?
    [ $code = "$expected" ] || fail "code $code for $expected: $(cat "$work/refusal")"
    for pattern in "$@"; do grep -q -- "$pattern" "$work/refusal" || fail "no '$pattern' in: $(cat "$work/refusal")"; done
    after=$(shown)
    [ "$before" = "$after" ] || fail "a refused file changed something: $before, then $after"
}
shown() { ask n1 "[(x['vni'], x['device'], x['mtu']) for x in s['networks']], [(x['name'], x['publicKey'], x['handshakes']) for x in s['peers']]"; }
field() { ask n1 "next(x for x in s['$1'] if x['$2'] == $3)['$4']"; }
is_field() { [ "$(field "$1" "$2" "$3" "$4")" = "$5" ]; }
has_device() { ip -n n1 link show "$1" > /dev/null 2>&1; }
# says COMMAND... PATTERN: what a command prints holds a pattern
says() { grep -q -- "${@: -1}" <<< "$("${@:1:$#-1}")"; }
device_says() { says ip -n n1 addr show "$1" "$2"; }
unreachable() { ! ip netns exec n1 ping -q -c 1 -W 0.3 "$1" > /dev/null; }

write
for n in n1 n2 n3; do up $n; done
until_true 20 "both sessions" established n1 2
until_true 10 "traffic with n2" reach n1 10.98.0.2
until_true 10 "traffic with n3" reach n1 10.98.0.3

# What must not notice: numbered datagrams and a TCP connection between n1 and n2.
number() { # FROM ADDRESS: numbered datagrams to port 7000 of an address until the end; says how many
    ip netns exec "$1" python3 -c '
import os, socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = 0
while not os.path.exists(sys.argv[2]):
    out.sendto(number.to_bytes(8) + bytes(992), (sys.argv[1], 7000))
    number += 1
    time.sleep(0.002)
print(number)
' "$2" "$work/end"
}
receivers=() senders=()
ip netns exec n1 "$VXSEAL" demo-traffic receive 7000 > "$work/to-n1" & receivers+=($!)
ip netns exec n2 "$VXSEAL" demo-traffic receive 7000 > "$work/to-n2" & receivers+=($!)
ip netns exec n2 python3 -c '
import socket
server = socket.create_server(("10.98.0.2", 7001))
peer, _ = server.accept()
while data := peer.recv(65536): peer.sendall(data)
' & receivers+=($!)
children+=("${receivers[@]}")
until_true 10 "receivers are ready" sh -c "grep -q ready $work/to-n1 && grep -q ready $work/to-n2 && ip netns exec n2 ss -ltn | grep -q :7001"
number n1 10.98.0.2 > "$work/sent-n2" & senders+=($!)
number n2 10.98.0.1 > "$work/sent-n1" & senders+=($!)
ip netns exec n1 python3 -c '
import os, socket, sys
peer = socket.create_connection(("10.98.0.2", 7001))
peer.settimeout(10)
rounds = 0
while not os.path.exists(sys.argv[1]):
    data = os.urandom(3000)
    peer.sendall(data)
    back = b""
    while len(back) < len(data): back += peer.recv(65536)
    assert back == data, "other bytes came back"
    rounds += 1
print(rounds)
' "$work/end" > "$work/tcp" 2>&1 & tcp=$!
children+=("${senders[@]}" $tcp)

handshakes=$(field peers name "'n2'" handshakes)
fdb() { "$VXSEAL" fdb --json --socket "$work/n1.sock" --peer "$1" --vni 42; }
learned=$(fdb n2 | sed -n 's/.*"mac" : "\(.*\)".*/\1/p'); [ -n "$learned" ] || fail "nothing learned from n2"
still_learned() { says fdb n2 "$learned" || fail "what was learned from n2 is forgotten"; }

changes 'nothing changed'
# A network and its members.
networks='  - {vni: 43, addresses: [10.99.0.1/24]}' in2='[42, 43]' in3='[42, 43]'
changes '+ network 43' '~ peer n2: networks' '~ peer n3: networks'
until_true 5 "traffic in the new network" reach n1 10.99.0.2
until_true 5 "traffic in the new network" reach n1 10.99.0.3
still_learned
# Settings of a network, one after the other.
network42='addresses: [10.98.0.1/24], bumRate: 100, flood: none, copyDscp: false'
changes '~ network 42: copyDscp, flood, bumRate'
network42='addresses: [10.98.0.1/24, 10.98.1.1/24, "fd98::1/64"], vlan: [untagged, 7], fdb: [{mac: "02:00:00:00:00:77", peer: n3, addresses: [10.98.0.77]}]'
changes '~ network 42: addresses, copyDscp, vlan, fdb, flood, bumRate'
says fdb n3 02:00:00:00:00:77 || fail "the entry is not there"
still_learned
device_says vxs42 'inet6 fd98::1/64' || fail "the address is not there"
network42='addresses: [10.98.0.1/24], mtu: 1300, neighborSuppression: false, fdbLimit: 64'
changes '~ network 42: addresses, mtu, vlan, fdb, fdbLimit, neighborSuppression'
says fdb n3 02:00:00:00:00:77 && fail "the entry is still there"
still_learned
device_says vxs42 10.98.1.1 && fail "the address is still there"
is_field networks vni 42 mtu 1300 && device_says vxs42 'mtu 1300 ' || fail "the MTU"
network42='addresses: [10.98.0.1/24]'
changes '~ network 42: mtu, fdbLimit, neighborSuppression'
# Settings of a peer; the binding takes effect, and its end too.
peer3='allow: {prefixes: [10.98.0.99/32]}' peer2="keepalive: 5s, allow: {macs: [\"$learned\"], prefixes: [10.98.0.2/32, 10.99.0.2/32]}"
changes '~ peer n2: keepalive, allow' '~ peer n3: allow'
unreachable 10.98.0.3 || fail "n3 speaks for an address that is not its"
not_its() { saw_drop n1 sourceNotAllowed 0 || saw_drop n1 arpNotAllowed 0; }
until_true 5 "a drop for n3's address" not_its
peer3='' peer2=''
changes '~ peer n2: keepalive, allow' '~ peer n3: allow'
until_true 5 "traffic with n3 without a binding" reach n1 10.98.0.3
# A device of another name is made again, in one stroke; then the network goes, and its device.
networks='  - {vni: 43, device: other43, addresses: [10.99.0.1/24]}'
changes '~ network 43: device; removed and made again'
has_device vxs43 && fail "the old device is still there"
until_true 5 "traffic in the network that was made again" reach n1 10.99.0.2
networks='  - {vni: 43, device: other43, bridge: br43}'
changes '~ network 43: bridge, addresses; removed and made again'
until_true 5 "the device is in its bridge" device_says other43 'master br43'
networks='' in2='[42]' in3='[42]'
changes '- network 43' '~ peer n2: networks' '~ peer n3: networks'
has_device other43 && fail "a removed network's device is still there"
has_device br43 && fail "its bridge is still there"
# A peer goes: it hears goodbye, and can't reach this node any more, neither by what it has nor by calling anew.
key=$key3 key3=''
changes '- peer n3'
until_true 5 "n3 has heard it" eval '! says status n3 "\"established\""'
ip netns exec n3 ping -q -c 1 -W 0.5 10.98.0.1 > /dev/null && fail "a removed peer reaches this node"
until_true 10 "it calls in vain" saw_drop n1 unknownPeer 0
# It comes back, is called otherwise, is elsewhere, has a preshared key.
key3=$key
changes '+ peer n3'
name3=nx
changes '~ peer nx: name (was n3)'
name3=n3
changes '~ peer n3: name (was nx)'
until_true 10 "traffic with the peer that came back" reach n1 10.98.0.3
ip -n n3 addr add 192.0.2.33/24 dev u
at3=192.0.2.33:47890
changes '~ peer n3: endpoint'
until_true 5 "traffic with n3 at its other address" reach n1 10.98.0.3
"$VXSEAL" genpsk --output "$work/psk"
peer3='presharedKeyFile: psk'
changes '~ peer n3: presharedKeyFile'
sed -i 's/name: n1/presharedKeyFile: psk\n    name: n1/' "$work/n3.yaml"
[ "$(reload n3)" = '~ peer n1: presharedKeyFile' ] || fail "n3's reload"
agreed() { [ "$(field peers name "'n3'" keyAgeSeconds | cut -d. -f1)" -lt 3 ]; }
until_true 20 "a session with the preshared key" agreed
until_true 5 "traffic with the preshared key" reach n1 10.98.0.3
# Another key under the same name is another peer.
"$VXSEAL" genkey > "$work/n3b.key"; key3=$("$VXSEAL" pubkey < "$work/n3b.key")
changes '~ peer n3: publicKey, so it is another peer'
unreachable 10.98.0.3 || fail "the key that was replaced still speaks"
key3=$key
changes '~ peer n3: publicKey, so it is another peer'
until_true 10 "traffic with the former key" reach n1 10.98.0.3

# Refused whole, with everything at once.
good=$(cat "$work/n1.yaml")
printf '%s\n' "${good/vni: 42/vni: 42, lerning: true, mtu: 12}" \
    '  - {name: n4, publicKey: x, networks: [42]}' "  - {name: n5, publicKey: \"$key\", networks: [99]}" > "$work/n1.yaml"
refuses 78 'unknown key .*lerning' 'mtu is no number' 'publicKey .x. cannot be read' 'no network with VNI 99' 'stands twice'
printf '%s\n' "${good/node: n1/node: nx}" "lanePorts: []" | sed 's/^networks:/busyPoll: 50us\nnetworks:/' > "$work/n1.yaml"
refuses 1 'node differs from what the daemon started with; restart it' 'busyPoll differs'
ip -n n1 link add taken type bridge
networks='  - {vni: 44}'$'\n''  - {vni: 45, device: taken}'; write
refuses 1 'taken exists already'
has_device vxs44 && fail "the device of a refused network is there"
networks='  - {vni: 44, device: p44, mode: plaintext}'; write
refuses 1 'opened at start'
until_true 5 "the log tells it" grep -q "the configuration is refused" "$work/n1.log"
networks=''; write

# SIGHUP does it too.
networks='  - {vni: 46}'; write
kill -HUP "${daemons[n1]}"
until_true 5 "SIGHUP brings the network" has_device vxs46
networks=''; write
kill -HUP "${daemons[n1]}"
until_true 5 "SIGHUP takes it away" sh -c "! ip -n n1 link show vxs46"
# A rotated identity stays: the key file holds another key than the daemon started with, and the peers know it.
"$VXSEAL" rotate identity --wait --socket "$work/n1.sock" > "$work/table" || fail "the rotation: $(cat "$work/table")"
handshakes=$(field peers name "'n2'" handshakes)
changes 'nothing changed'
[ "$("$VXSEAL" pubkey < "$work/n1.key")" = "$(ask n1 "s['publicKey']")" ] || fail "a reload brought the old identity back"
# n2 caught up with: the new key in its file is the peer that it knows.
sed -i "s|$(cat "$work/n1.pub")|$(ask n1 "s['publicKey']")|" "$work/n2.yaml"
before=$(ask n2 "p['handshakes']")
[ "$(reload n2)" = '~ peer n1: publicKey' ] || fail "n2 takes the rotated key for another peer"
[ "$(ask n2 "p['handshakes']")" = "$before" ] || fail "n2 began a new session"
sed -i "s|$(ask n1 "s['publicKey']")|$(cat "$work/n1.pub")|" "$work/n2.yaml"
reload n2 > "$work/refusal" 2>&1 && fail "the retired key was taken back: $(cat "$work/refusal")"
says cat "$work/refusal" 'rotated to or from.*rotate forget n1' || fail "$(cat "$work/refusal")"
sed -i "s|$(cat "$work/n1.pub")|$(ask n1 "s['publicKey']")|" "$work/n2.yaml"

touch "$work/end"
for pid in "${senders[@]}"; do wait "$pid" || fail "a sender"; done
for pid in "${receivers[@]:0:2}"; do wait "$pid" || fail "a receiver"; done
for n in n1 n2; do
    count=$(cat "$work/sent-$n")
    [ "$count" -gt 1000 ] || fail "only $count datagrams were sent to $n"
    [ "$(tail -1 "$work/to-$n")" = "$count 0 0" ] || fail "received, twice, out of order: $(tail -1 "$work/to-$n") of $count by $n"
done
wait $tcp || fail "the TCP connection: $(cat "$work/tcp")"
still_learned
[ "$(field peers name "'n2'" handshakes)" = "$handshakes" ] || fail "a new session with n2"
[ $reloads -ge 20 ] || fail "$reloads reloads"

# Hundreds of times: memory does not grow. A forwarding database alone has two million bytes of address space.
vm() { sed -n 's/^VmSize:[^0-9]*\([0-9]*\).*/\1/p' "/proc/${daemons[n1]}/status"; }
write; cp "$work/n1.yaml" "$work/one.yaml"
networks='  - {vni: 47}' in2='[42, 47]' key3=''; write; cp "$work/n1.yaml" "$work/other.yaml"
often() {
    python3 - "$work" "$1" <<'P'
import json, os, shutil, socket, sys
work, count = sys.argv[1], int(sys.argv[2])
peer = socket.socket(socket.AF_UNIX)
peer.connect(work + "/n1.sock")
def more():
    data = peer.recv(65536)
    if not data: sys.exit("the daemon has ended")
    return data
for number in range(count):
    shutil.copy(work + ("/other.yaml" if number % 2 == 0 else "/one.yaml"), work + "/n1.yaml")
    peer.sendall(b"POST /v1/reload HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    answer = b""
    while b"\r\n\r\n" not in answer: answer += more()
    head, body = answer.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length: body += more()
    reply = json.loads(body)
    assert reply["isApplied"] and len(reply["changes"]) == 3 and not reply["warnings"], reply
P
}
often 50 || fail "fifty reloads"
before=$(vm)
often 250 || fail "250 reloads"
grown=$(($(vm) - before))
[ $grown -lt 32768 ] || fail "$grown KiB more after 250 reloads"
until_true 10 "traffic with n3 after all of them" reach n1 10.98.0.3
until_true 5 "traffic with n2 after all of them" reach n1 10.98.0.2

# Killed in the middle of one: what the kernel had is gone, and a start finds nothing in its way.
often 100000 2> /dev/null & pid=$!; children+=($pid)
until_true 5 "reloads are under way" sh -c "ip -n n1 link show vxs47"
stop n1 KILL
wait $pid || true
until_true 5 "no device is left" sh -c "! ip -n n1 link show vxs47 && ! ip -n n1 link show vxs42"
networks='' in2='[42]' key3=$key; write
up n1
until_true 20 "traffic after a kill" reach n1 10.98.0.2
# The port of plaintext VXLAN is open as long as a network is plaintext.
stop n1 TERM
networks='  - {vni: 44, device: p44, mode: plaintext}'; write; up n1
until_true 20 "sessions" established n1 2
says ip netns exec n1 ss -lun ':4789 ' || fail "the plaintext port is not open"
networks=''
changes '- network 44'
says ip netns exec n1 ss -lun ':4789 ' && fail "the plaintext port is open without a network"
# Ended in the middle of one: it ends.
often 100000 2> /dev/null & pid=$!; children+=($pid)
read -rt 0.3 <> <(:) || true # reloads are under way
stop n1 TERM
wait $pid || true
has_device vxs42 && fail "the device outlives the daemon"
echo "$reloads reloads under traffic, $count numbered datagrams each way, $(tail -1 "$work/tcp") rounds of TCP, $grown KiB more after 250 further reloads"
echo PASSED
