# A real Prometheus scrapes two nodes and is asked; promtool finds nothing to say of the text, and runs the rules' own tests;
# every expression of the dashboard and the rules is asked.
. "$(dirname "$0")/common.sh"
scripts=$(dirname "$0")
tools=$VXSEAL_ROOT/Tools
(cd "$tools/prometheus" && promtool test rules vxseal.rules.test.yml) > "$work/out" 2>&1 || fail "$(cat "$work/out")"
measured_pair
"$VXSEAL" rotate session n2 --socket "$work/n1.sock" > /dev/null
"$VXSEAL" reload --socket "$work/n1.sock" > /dev/null || fail "a reload"

scrape() { ip netns exec n1 curl -sS -m 5 http://192.0.2.1:9472/metrics; }
scrape | promtool check metrics > "$work/out" 2>&1 && [ ! -s "$work/out" ] || fail "promtool: $(cat "$work/out")"

cp "$tools/prometheus/vxseal.rules.yml" "$work"
cat > "$work/prometheus.yml" <<P
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$work/vxseal.rules.yml]
scrape_configs:
  - job_name: vxseal
    static_configs: [{targets: ["192.0.2.1:9472", "192.0.2.2:9472"]}]
P
ip netns exec n1 prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address=127.0.0.1:9090 > "$work/prometheus.log" 2>&1 & children+=($!)
query() { ip netns exec n1 curl -sS -m 5 -G --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query; }
answers() { query "$1" | python3 -c 'import json, sys
result = json.load(sys.stdin)["data"]["result"]
sys.exit(not (len(result) == 1 and float(result[0]["value"][1]) == float(sys.argv[1])))' "$2"; }
until_true 20 "Prometheus has both nodes" answers 'count(up{job="vxseal"} == 1)' 2
until_true 10 "both peers are up" answers 'sum(vxseal_peer_up{peer=~"n."})' 2
answers 'count(vxseal_build_info)' 2 || fail "$(query vxseal_build_info)"
reasons=$(status n1 | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["drops"]))')
answers 'count(count by (reason) (vxseal_drops_total))' "$reasons" || fail "not every reason"
until_true 10 "a round trip" answers 'count(vxseal_peer_rtt_p99_seconds{instance="192.0.2.1:9472"})' 1
ip netns exec n1 python3 "$scripts/queries.py" http://127.0.0.1:9090 "$tools/grafana/vxseal.json" || fail "queries"

# A peer that goes is seen to go, and its alert is pending.
stop n2 TERM
until_true 15 "the peer is down" answers 'vxseal_peer_up{instance="192.0.2.1:9472", peer="n2"}' 0
until_true 10 "its alert" answers 'count(ALERTS{alertname="VxsealPeerDown", peer="n2"})' 1
until_true 10 "the node's own" answers 'count(ALERTS{alertname="VxsealNodeGone", instance="192.0.2.2:9472"})' 1
echo PASSED
