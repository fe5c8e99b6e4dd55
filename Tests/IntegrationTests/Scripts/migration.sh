# Five nodes of a plaintext VXLAN are moved to sealed ones, one after the other, while all send numbered datagrams to all. What
# is lost is lost during a node's own swap, and between two nodes that were moved nothing ever travels in the clear.
. "$(dirname "$0")/common.sh"
all="1 2 3 4 5"
scripts=$(dirname "$0")
for i in $all; do
    node "m$i" "192.0.2.$i" "fd00::$i"; genkey "m$i"
    ip -n "m$i" link add br42 type bridge
    ip -n "m$i" link set br42 address "02:00:00:00:42:0$i" mtu 1400 up
    ip -n "m$i" addr add "10.60.0.$i/24" dev br42
    # As flannel, or an operator, would have it.
    ip -n "m$i" link add vx42 type vxlan id 42 dstport 4789 local "192.0.2.$i"
    ip -n "m$i" link set vx42 mtu 1400 master br42 up
    for j in $all; do
        [ "$i" = "$j" ] || ip netns exec "m$i" bridge fdb append 00:00:00:00:00:00 dev vx42 dst "192.0.2.$j"
    done
done
# What the switch between them sees.
ip netns exec wire nft -f - <<'Y'
table bridge seen {
    set migrated { type ipv4_addr; }
    chain forward {
        type filter hook forward priority 0
        ip saddr @migrated ip daddr @migrated udp dport 4789 counter
    }
    chain sealed {
        type filter hook forward priority 0
        ip saddr @migrated ip daddr @migrated udp dport 47890 counter
    }
}
Y
packets() { ip netns exec wire nft list chain bridge seen "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
now() { cut -d' ' -f1 /proc/uptime; }
answers() { local j; for j in $all; do [ "$j" = "$1" ] || ip netns exec "m$1" ping -q -c 1 -W 1 "10.60.0.$j" || return 1; done; }
for i in $all; do until_true 10 "all of the plaintext network" answers "$i"; done

migrated=""
is_migrated() { case " $migrated " in *" $1 "*) true ;; *) false ;; esac; }
# conf NODE MODE: the others as they are now
conf() {
    local j
    { head_of "m$1"; printf 'networks:\n  - {vni: 42, mode: %s, bridge: br42, mtu: 1400}\npeers:\n' "$2"
      for j in $all; do
          [ "$j" = "$1" ] && continue
          if is_migrated "$j"; then peer_of "m$j" "192.0.2.$j:47890"
          else printf '  - {name: m%s, plaintext: true, endpoint: "192.0.2.%s:4789", networks: [42]}\n' "$j" "$j"; fi
      done; } > "$work/m$1.new"
    mv "$work/m$1.new" "$work/m$1.yaml"
}
reload() { "$VXSEAL" reload --socket "$work/m$1.sock" > "$work/reload" 2>&1 || fail "reload of m$1: $(cat "$work/reload")"; }

senders=()
for i in $all; do
    others=""; for j in $all; do [ "$i" = "$j" ] || others="$others 10.60.0.$j"; done
    ip netns exec "m$i" python3 "$scripts/traffic.py" send "10.60.0.$i" "$work/traffic$i" $others & senders+=($!); children+=($!)
done
read -rt 0.5 <> <(:) || true # traffic before the first swap
swaps=()
for i in $all; do
    begin=$(now)
    before=$migrated
    migrated="$migrated $i"
    # First those that were moved hear of the key: from here on they speak to this node sealed only.
    for j in $before; do conf "$j" mixed; reload "$j"; done
    ip -n "m$i" link del vx42
    ip netns exec wire nft add element bridge seen migrated "{ 192.0.2.$i }"
    conf "$i" mixed
    up "m$i"
    until_true 20 "m$i after its swap" answers "$i"
    swaps+=("m$i:10.60.0.$i:$begin:$(now)")
    read -rt 0.5 <> <(:) || true # traffic between two swaps
done
# Nobody is left: the door is closed, without a swap.
for i in $all; do conf "$i" sealed; reload "$i"; done
read -rt 0.5 <> <(:) || true # traffic when all is sealed
for i in $all; do [ "$(ask "m$i" "s['networks'][0]['mode']")" = sealed ] || fail "m$i is not sealed"; done
until_true 10 "all of the sealed network" answers 1
for pid in "${senders[@]}"; do kill "$pid"; wait "$pid" || fail "a sender"; done
python3 "$scripts/traffic.py" check "$work"/traffic? -- "${swaps[@]}" || fail "frames were lost"
[ "$(packets forward)" = 0 ] || fail "$(packets forward) plaintext datagrams between nodes that were moved"
[ "$(packets sealed)" -gt 1000 ] || fail "the switch saw only $(packets sealed) sealed datagrams: it does not look"
echo PASSED
