# Live captures as tshark reads them: frames and datagrams, filters, drops, files in a ring, slow readers and those that vanish;
# and the dissector of the outer format, on what a listener on the wire has recorded.
. "$(dirname "$0")/common.sh"
scripts=$(dirname "$0")
dissector="$VXSEAL_ROOT/Tools/wireshark/vxseal.lua"
for n in 1 2; do node "n$n" "192.0.2.$n" "fd00::$n"; genkey "n$n"; done
for n in 1 2; do
    { head_of "n$n"; printf 'networks:\n'
      printf '  - {vni: 42, addresses: [10.98.0.%s/24, "fd98::%s/64"]}\n' $n $n
      printf '  - {vni: 43, mode: plaintext, addresses: [10.99.0.%s/24]}\npeers:\n' $n
      peer_of "n$((3 - n))" "192.0.2.$((3 - n)):47890"
      printf '  - {name: p%s, plaintext: true, endpoint: "192.0.2.%s:4789", networks: [43]}\n' $((3 - n)) $((3 - n)); } > "$work/n$n.yaml"
    up "n$n"
done
for n in 1 2; do until_true 15 "n$n has a session" established "n$n"; done
until_true 10 "plaintext flows" reach n1 10.99.0.2
until_true 10 "sealed frames flow" reach n1 10.98.0.2

# capture NAME OPTIONS...: runs one on n1 into NAME.pcapng, which is ready when this returns
capture() {
    local name=$1
    shift
    : > "$work/$name.log"
    "$VXSEAL" capture --socket "$work/n1.sock" -w "$work/$name.pcapng" "$@" 2> "$work/$name.log" & captures[$name]=$!
    children+=($!)
    until_true 10 "$name captures" grep -q "^capturing" "$work/$name.log"
}
declare -A captures
# end NAME [SIGNAL]: with a whole file
end() {
    kill "-${2:-INT}" "${captures[$1]}"
    wait "${captures[$1]}" || fail "$1 ended with $?: $(cat "$work/$1.log")"
    python3 "$scripts/pcapng.py" "$work/$1.pcapng" > "$work/$1.interfaces" || fail "$1 is no whole file"
}
fields() { # NAME FILTER FIELD...
    local name=$1 filter=$2 field list=()
    shift 2
    for field; do list+=(-e "$field"); done
    # As nobody: newer ones run no scripts of a superuser's.
    unshare -U tshark -X "lua_script:$dissector" -r "$work/$name.pcapng" -Y "$filter" -T fields "${list[@]}" 2> "$work/tshark.log" ||
        fail "tshark refuses $name.pcapng"
}

# While it all happens, somebody on the wire listens for the dissector.
ip netns exec n1 tshark -q -i u -w "$work/wire.pcapng" -f "udp port 47890" > "$work/wire.log" 2>&1 & wire=$!; children+=("$wire")
until_true 20 "tshark listens" grep -q "Capturing on" "$work/wire.log"

# Everything, of both sides of the seal, and what each filter leaves of the same traffic.
capture both --inner --outer
capture station --ip 10.98.0.2 --direction out --snap 60
capture web --vni 42 --port 5202
capture sealed --outer --peer n2
reach n1 10.98.0.2 >/dev/null; reach n1 fd98::2 >/dev/null; reach n1 10.99.0.2 >/dev/null
ip netns exec n2 iperf3 -s -1 -p 5202 >/dev/null 2>&1 & children+=($!)
until_true 5 "iperf3 listens" sh -c "ip netns exec n2 ss -ltn | grep -q 5202"
ip netns exec n1 iperf3 -c 10.98.0.2 -p 5202 -n 1M > "$work/iperf.log" 2>&1 || fail "TCP beside captures"
"$VXSEAL" capture --socket "$work/n1.sock" -w "$work/fifth.pcapng" 2> "$work/fifth.log" && fail "a fifth capture runs"
grep -q "4 captures run already" "$work/fifth.log" || fail "what is wrong: $(cat "$work/fifth.log")"
before=$(ask n1 "p['handshakes']")
"$VXSEAL" rotate session n2 --socket "$work/n1.sock" >/dev/null
until_true 10 "a rotation" sh -c "[ \"\$(\"$VXSEAL\" status --json --socket $work/n1.sock | grep -o '\"handshakes\" : [0-9]*' | head -1 | grep -o '[0-9]*\$')\" -gt $before ]"
reach n1 10.98.0.2 >/dev/null
for name in both web station sealed; do end $name; done

# A line a packet: interface, direction (1 in, 2 out), protocols, type of the outer message, addresses, ports, comment.
fields both frame frame.interface_name frame.packet_flags_direction frame.protocols vxseal.type ip.src ip.dst udp.dstport \
    frame.comment > "$work/both"
seen() { grep -qP "$1" "$work/both" || fail "no $2 in: $(head -40 "$work/both")"; }
seen '^vxs42\t0x00000002\teth:ethertype:ip:icmp:data\t\t10.98.0.1\t10.98.0.2\t\tpeer=n2 vni=42 lane=\d+ direction=out epoch=1$' "pings that leave"
seen '^vxs42\t0x00000001\teth:ethertype:ip:icmp:data\t\t10.98.0.2\t10.98.0.1\t\tpeer=n2 vni=42 lane=\d+ direction=in epoch=1$' "answers"
seen '^vxs42\t0x00000001\teth:ethertype:ip:icmp.*epoch=2$' "a frame under the key pair of the rotation"
seen '^vxs42\t0x00000001\teth:ethertype:ipv6:icmpv6' "IPv6"
seen '^vxs43\t0x0000000\d\teth:ethertype:ip:icmp:data.*peer=p2 vni=43 lane=\d+ direction=\w+$' "frames of the plaintext network"
seen '^underlay\t0x00000002\traw:ip:udp:vxlan:eth:ethertype:ip:icmp.*\t4789\tpeer=p2 vni=43' "plaintext VXLAN"
seen '^underlay\t0x00000002\traw:ip:udp:vxseal\t1\t192.0.2.1\t192.0.2.2\t47890\tlane=handshake' "handshake"
seen '^underlay\t0x00000001\traw:ip:udp:vxseal\t2\t192.0.2.2\t192.0.2.1\t47890\tlane=handshake' "answer to it"
seen '^underlay\t0x00000002\traw:ip:udp:vxseal\t4\t192.0.2.1\t192.0.2.2\t47890\tpeer=n2 lane=\d+ direction=out epoch=1$' "sealed datagrams that leave"
seen '^underlay\t0x00000001\traw:ip:udp:vxseal\t4\t192.0.2.2\t192.0.2.1\t47890\tpeer=n2 lane=\d+ direction=in epoch=2$' "sealed datagrams that come"
[ -n "${VXSEAL_TEST_SETTINGS:-}" ] || seen ':tcp.*super-frame=1' "super-frame"
[ -z "$(fields both '_ws.malformed || ip.checksum.status == 0 || vxseal.length.invalid' frame.number)" ] || fail "malformed packets"
all() { # NAME FILTER: at least one packet, and nothing else
    local total
    total=$(awk '{n += $2} END {print n}' "$work/$1.interfaces")
    [ "$total" -gt 0 ] && [ "$(fields "$1" "$2" frame.number | wc -l)" = "$total" ] || fail "$1 holds what was not asked for"
}
all station '(ip.addr == 10.98.0.2 || arp.dst.proto_ipv4 == 10.98.0.2 || arp.src.proto_ipv4 == 10.98.0.2)
    && frame.packet_flags_direction == 2 && (frame.cap_len == 60 || frame.cap_len == frame.len && frame.len < 60)'
all web 'tcp.port == 5202 && frame.interface_name == "vxs42"'
all sealed 'vxseal && !(frame.comment contains "p2")'
grep -q "^vxs42 [1-9][0-9]* [1-9][0-9]* 0$" "$work/both.interfaces" || fail "statistics: $(cat "$work/both.interfaces")"

# Into a pipe, as people do.
"$VXSEAL" capture --socket "$work/n1.sock" --count 4 --ip 10.98.0.2 -w - 2> "$work/pipe.log" | tshark -r - -T fields -e _ws.col.Protocol -e frame.comment \
    > "$work/pipe" 2>/dev/null & pipe=$!
until_true 10 "the pipe captures" grep -q "^capturing" "$work/pipe.log"
reach n1 10.98.0.2 >/dev/null
wait $pipe || fail "the pipe"
[ "$(grep -c "peer=n2 vni=42" "$work/pipe")" = 4 ] && grep -q "^ICMP" "$work/pipe" || fail "four frames in the pipe: $(cat "$work/pipe")"
# Whoever reads goes, and the command with it, also while nothing is captured.
"$VXSEAL" capture --socket "$work/n1.sock" --port 9 -w - 2> "$work/head.log" | head -c 1 > /dev/null & head=$!
until_true 10 "the command ends with its reader" sh -c "! kill -0 $head"

# What is dropped, with its reason: forged and foreign datagrams, a frame of this node's own that no station sends.
capture drops --inner --outer --dropped
send() { ip netns exec n2 bash -c "printf '$1' > /dev/udp/192.0.2.1/47890"; }
send '\x09garbage'
send '\x04\x00\x00\x00aaaabbbbccccddddeeeeffffgggghhhh'
index=$(fields both 'vxseal.type == 4 && frame.packet_flags_direction == 1 && frame.comment contains "epoch=2"' vxseal.receiver | tail -1)
ip netns exec n2 python3 -c "
import socket
index = int('$index', 16).to_bytes(4, 'big')
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'\x04\x00\x00\x00' + index + (2**32).to_bytes(8, 'big') + bytes(100), ('192.0.2.1', 47890))"
ip netns exec n1 python3 -c "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('vxs42', 0))
s.send(bytes.fromhex('ffffffffffff' '030000000001' '88b5') + bytes(46))"
for reason in unknownMessage unknownReceiver authenticationFailed invalidSource; do
    until_true 5 "a drop as $reason" saw_drop n1 $reason 0
done
reach n1 10.98.0.2 >/dev/null
end drops TERM
fields drops frame frame.interface_name vxseal.counter udp.length eth.src frame.comment > "$work/drops"
found() { grep -qP "$1" "$work/drops" || fail "no drop of $2: $(cat "$work/drops")"; }
found '^underlay\t\t16\t\tlane=handshake direction=in drop=unknownMessage$' garbage
found '^underlay\t\d+\t44\t\tlane=\d+ direction=in drop=unknownReceiver$' "a foreign datagram"
# As it came, and not as it was wiped.
found '^underlay\t4294967296\t124\t\tpeer=n2 lane=0 direction=in epoch=2 drop=authenticationFailed$' "a forged datagram"
found '^vxs42\t\t\t03:00:00:00:00:01\tvni=42 lane=\d+ direction=out drop=invalidSource$' "the own frame"
grep -v "drop=" "$work/drops" && fail "what was passed on is among the drops"
# A capture of a peer follows it through reloads that give its index to another, and it another index.
capture follow --peer n2
cp "$work/n1.yaml" "$work/whole.yaml"
genkey x
reload() { "$VXSEAL" reload --socket "$work/n1.sock" > "$work/reload" || fail "reload: $(cat "$work/reload")"; }
sed '/- name: n2/,/networks: \[42\]/d' "$work/whole.yaml" > "$work/n1.yaml"; reload
peer_of x 192.0.2.77:47890 >> "$work/n1.yaml"; reload
peer_of n2 192.0.2.2:47890 >> "$work/n1.yaml"; reload
until_true 15 "traffic with the peer that came back" reach n1 10.98.0.2
follows() { ip netns exec n1 ping -q -c 1 -W 1 -s 555 10.98.0.2; [ -n "$(fields follow 'icmp && frame.len == 597' frame.number)" ]; }
until_true 10 "the peer that came back is captured" follows
end follow
cp "$work/whole.yaml" "$work/n1.yaml"; reload

# A ring of files.
capture ring --ring-size 128k --ring-files 2
until_true 20 "the third file" sh -c "ip netns exec n1 ping -q -f -c 50 -s 1300 10.98.0.2; [ -e $work/ring_00003.pcapng ]"
kill -INT "${captures[ring]}"; wait "${captures[ring]}" || fail "the ring"
[ "$(ls "$work"/ring_*.pcapng | wc -l)" = 2 ] || fail "two files are kept: $(ls "$work")"
[ ! -e "$work/ring_00001.pcapng" ] || fail "the oldest file goes"
for file in "$work"/ring_*.pcapng; do
    [ "$(stat -c %s "$file")" -le 131072 ] && [ "$(stat -c %a "$file")" = 600 ] || fail "size and mode of $file"
    python3 "$scripts/pcapng.py" "$file" > /dev/null || fail "$file is no whole file"
done

# A reader that does not read loses packets, and the traffic none.
# asleep NAME: a capture whose reader is $descriptor and reads nothing yet, though there is more than fits anywhere
asleep() {
    mkfifo "$work/$1.pcapng"
    exec {descriptor}<> "$work/$1.pcapng"
    capture "$1"
    ip netns exec n2 iperf3 -s -1 -p 5202 >/dev/null 2>&1 & children+=($!)
    until_true 5 "iperf3 listens" sh -c "ip netns exec n2 ss -ltn | grep -q 5202"
    ip netns exec n1 timeout 60 iperf3 -c 10.98.0.2 -p 5202 -n 48M > "$work/iperf.log" 2>&1 ||
        fail "TCP beside a reader that sleeps"
}
lost() { ask n1 "[x['lost'] for x in s['peers'] if x['mode'] == 'sealed'][0]"; }
before=$(lost)
asleep slow
reach n1 10.98.0.2 | grep -q " 0% packet loss" || fail "traffic beside a reader that sleeps"
[ "$(lost)" = "$before" ] || fail "datagrams were lost: $before, then $(lost)"
cat <&"$descriptor" > "$work/woken.pcapng" & reader=$!; children+=("$reader")
exec {descriptor}>&-
until_true 20 "all of it is read" sh -c "ip netns exec n1 ping -q -c 1 -W 1 -s 777 10.98.0.2; tshark -r $work/woken.pcapng -Y 'icmp && frame.len == 819' 2>/dev/null | grep -q ."
kill -INT "${captures[slow]}"; wait "${captures[slow]}" || fail "the slow one"
grep -q "captured, [1-9][0-9]* lost" "$work/slow.log" || fail "what was lost is told: $(cat "$work/slow.log")"
kill "$reader"; wait "$reader" 2>/dev/null || true
python3 "$scripts/pcapng.py" "$work/woken.pcapng" > "$work/woken" || fail "the slow reader's file"
grep -q "^vxs42 [1-9][0-9]* [0-9]* [1-9][0-9]*$" "$work/woken" || fail "what was lost is in the file: $(cat "$work/woken")"

grep -q "lost=[1-9].*a capture has ended" "$work/n1.log" || fail "the log tells of captures: $(tail -3 "$work/n1.log")"

# A full disk: what is there is whole, but for its statistics.
mkdir "$work/disk"; mount -t tmpfs -o size=128k tmpfs "$work/disk"
"$VXSEAL" capture --socket "$work/n1.sock" -w "$work/disk/full.pcapng" 2> "$work/full.log" & full=$!
until_true 10 "it captures" grep -q "^capturing" "$work/full.log"
until_true 10 "the disk is full" sh -c "ip netns exec n1 ping -q -f -c 50 -s 1300 10.98.0.2; ! kill -0 $full"
wait $full && fail "a full disk is no failure"
grep -q "full.pcapng cannot be written (write: No space left on device)" "$work/full.log" || fail "what is wrong: $(cat "$work/full.log")"
tshark -r "$work/disk/full.pcapng" > /dev/null 2> "$work/full.err" || fail "the file on a full disk: $(cat "$work/full.err")"
umount "$work/disk"

# A command that is killed leaves its place to others.
for name in a b c d; do capture $name; done
kill -KILL "${captures[a]}"; wait "${captures[a]}" 2>/dev/null || true
can_capture() {
    "$VXSEAL" capture --socket "$work/n1.sock" --count 1 -w "$work/again.pcapng" & local it=$!
    reach n1 10.98.0.2
    wait $it
}
until_true 10 "the place of a command that was killed" can_capture
for name in b c; do end $name; done

asleep sleeper
refused() { # MESSAGE OPTIONS...
    local message=$1
    shift
    "$VXSEAL" capture --socket "$work/n1.sock" -w "$work/no.pcapng" "$@" 2> "$work/no.log" && fail "$* is accepted"
    grep -q "$message" "$work/no.log" || fail "what is wrong with $*: $(cat "$work/no.log")"
    [ ! -e "$work/no.pcapng" ] || fail "a file without a capture"
}
refused "no peer has the name nobody" --peer nobody
refused "no network has VNI 99" --vni 99
refused "is no MAC address" --mac 02:00
refused "is no IP address" --ip 10.98.0
refused "choose inner frames" --outer --port 80
refused "belong together" --ring-size 1M

# All of the outer format on the wire, with a cookie for one who calls too often.
ip netns exec n2 python3 "$scripts/handshakes.py" 192.0.2.1 47890 "$(cat "$work/n1.pub")" 60
until_true 5 "a cookie is sent" saw_drop n1 cookieSent 0
heard() { [ -n "$(fields wire "vxseal.type == $1" frame.number)" ]; }
until_true 10 "the listener has the cookie" heard 3
# The daemon ends while captures run; it waits for no reader.
kill -TERM "${daemons[n1]}"
wait "${captures[d]}" && fail "a capture that the daemon ended is told as if it were whole"
grep -q "the daemon" "$work/d.log" || fail "what ended it: $(cat "$work/d.log")"
until_true 10 "the daemon ends beside a reader that sleeps" sh -c "! kill -0 ${daemons[n1]}"
wait "${daemons[n1]}" || fail "the daemon's end beside a capture: $?"
kill -KILL "${captures[sleeper]}"; wait "${captures[sleeper]}" 2>/dev/null || true
python3 "$scripts/pcapng.py" "$work/d.pcapng" > /dev/null || fail "the file of a capture that the daemon ended"
kill "$wire"; wait "$wire" 2>/dev/null || true
fields wire udp.port==47890 vxseal.type vxseal.sender vxseal.receiver vxseal.records.length vxseal.tag vxseal.nonce vxseal.cookie \
    vxseal.has_mac2 vxseal.type.unknown _ws.malformed vxseal.length.invalid vxseal.reserved.not_zero > "$work/wire"
python3 - "$work/wire" <<'P' || fail "the dissector"
import sys
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1])]
names = "type sender receiver length tag nonce cookie mac2 unknown malformed badLength reserved".split()
rows = [dict(zip(names, row)) for row in rows]
of = {kind: [row for row in rows if row["type"] == kind] for kind in "12349"}
assert sum(map(len, of.values())) == len(rows), "a datagram that is not dissected"
# Garbage was sent once, by hand.
assert len(of["9"]) == 1 and of["9"][0]["unknown"]
for kind in "1234":
    assert of[kind], "no message of type " + kind
    wrong = [row for row in of[kind] if row["unknown"] or row["malformed"] or row["badLength"] or row["reserved"]]
    assert not wrong, wrong
senders = {row["sender"] for row in of["1"]}
assert all(row["receiver"] in senders and row["sender"] for row in of["2"]), "a response answers an initiation"
assert all(row["receiver"] and len(row["tag"]) == 32 for row in of["4"])
assert any(row["length"] == "0" for row in of["4"]), "a keepalive"
assert all(len(row["nonce"]) == 48 and len(row["cookie"]) == 64 for row in of["3"]), of["3"]
assert all(row["mac2"] in ("0", "False") for row in of["1"]), "nobody has answered a cookie"
P
echo PASSED
