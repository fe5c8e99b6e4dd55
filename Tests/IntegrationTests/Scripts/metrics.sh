# What Prometheus is told: the numbers are those of status, both forms are read strictly, and /healthz and /readyz say what is
# the matter. prometheus.sh has the real one.
. "$(dirname "$0")/common.sh"
scripts=$(dirname "$0")
measured_pair

# get NODE PATH [CURL ARGUMENT...]: the answer's body, and its status in $work/code
get() { ip netns exec "$1" curl -sS -m 5 -o "$work/body" -w '%{http_code}' "${@:3}" "http://192.0.2.${1#n}:9472$2" > "$work/code"; cat "$work/body"; }
code_is() { [ "$(cat "$work/code")" = "$1" ] || fail "status $(cat "$work/code") instead of $1: $(cat "$work/body")"; }
metric() { get n1 /metrics | awk -v name="$1" '$1 == name { print $2 }'; }
is() { [ "$(metric "$1")" = "$2" ] || fail "$1 is '$(metric "$1")' instead of $2"; }

[ "$(get n1 /healthz)" = ok ] || fail "/healthz: $(cat "$work/body")"; code_is 200
[ "$(get n1 /readyz)" = ok ] || fail "/readyz: $(cat "$work/body")"; code_is 200
get n1 /nonsense > /dev/null; code_is 404
get n1 /metrics -X DELETE > /dev/null; code_is 404

# The numbers are those of status, once nothing moves any more.
reach n1 -s 500 10.98.0.2 > /dev/null || fail "no traffic"
peer='{peer="n2"}'
is "vxseal_peer_up$peer" 1
is 'vxseal_peer_state{peer="n2",state="established"}' 1
is "vxseal_peer_post_quantum$peer" 1
is 'vxseal_network_up{vni="42"}' 1
is 'vxseal_network_relay_stopped{vni="43"}' 0
is vxseal_ready 1
is vxseal_stuck_threads 0
before=$(ask n1 'p["sent"]["bytes"]'); told=$(metric "vxseal_peer_sent_bytes_total$peer"); after=$(ask n1 'p["sent"]["bytes"]')
[ "$before" -ge 1500 ] && [ "$told" -ge "$before" ] && [ "$told" -le "$after" ] || fail "status says $before to $after, metrics $told"
is 'vxseal_drops_total{reason="replayed"}' 0
ip netns exec n2 bash -c 'printf "\x09garbage" > /dev/udp/192.0.2.1/47890'
until_true 5 "a drop" saw_drop n1 unknownMessage 0
is 'vxseal_drops_total{reason="unknownMessage"}' 1
"$VXSEAL" rotate session n2 --socket "$work/n1.sock" > /dev/null
has() { metric "$1" | grep -q .; }
until_true 5 "a round trip" has "vxseal_peer_rtt_seconds$peer"
[ "$(metric process_resident_memory_bytes)" -gt 1000000 ] || fail "memory: $(metric process_resident_memory_bytes)"
[ "$(metric process_open_fds)" -gt 10 ] || fail "open descriptors: $(metric process_open_fds)"
start=$(metric process_start_time_seconds)
python3 -c "import sys, time; age = time.time() - $start; sys.exit(not 0 < age < 300)" || fail "it began at $start"
metric 'vxseal_thread_cpu_seconds_total{thread="lane0"}' | grep -q . || fail "no time of lane 0"

# Both forms, each read strictly.
get n1 /metrics -D "$work/headers" > "$work/text"
grep -qi '^content-type: text/plain; version=0.0.4; charset=utf-8' "$work/headers" || fail "$(cat "$work/headers")"
python3 "$scripts/exposition.py" text "$work/text" || fail "the text"
get n1 /metrics -D "$work/headers" -H 'Accept: application/openmetrics-text; version=1.0.0' > "$work/openmetrics"
grep -qi '^content-type: application/openmetrics-text; version=1.0.0; charset=utf-8' "$work/headers" || fail "$(cat "$work/headers")"
python3 "$scripts/exposition.py" openmetrics "$work/openmetrics" || fail "OpenMetrics"

# A refused reload is told, and an applied one.
cp "$work/n1.yaml" "$work/good.yaml"
echo "wrong: 1" >> "$work/n1.yaml"
"$VXSEAL" reload --socket "$work/n1.sock" > /dev/null 2>&1 && fail "a bad configuration is taken"
is 'vxseal_reloads_total{result="refused"}' 1; is vxseal_last_reload_successful 0
sed 's#9472#9473#' "$work/good.yaml" > "$work/n1.yaml"
"$VXSEAL" reload --socket "$work/n1.sock" > "$work/out" 2>&1 && fail "another metrics address is taken while running"
grep -q "metrics differs" "$work/out" || fail "$(cat "$work/out")"
cp "$work/good.yaml" "$work/n1.yaml"
"$VXSEAL" reload --socket "$work/n1.sock" > /dev/null || fail "the good configuration"
is 'vxseal_reloads_total{result="applied"}' 1; is vxseal_last_reload_successful 1

# What hinders: a device that is down, then one that cannot be made again.
ip -n n1 link set vxs42 down
until_true 5 "not ready" sh -c "ip netns exec n1 curl -s http://192.0.2.1:9472/readyz | grep -q 'network 42: device vxs42 is down'"
get n1 /readyz > /dev/null; code_is 503
get n1 /healthz > /dev/null; code_is 200
is 'vxseal_network_up{vni="42"}' 0; is vxseal_ready 0
ip -n n1 link set vxs42 up
until_true 5 "ready again" sh -c "ip netns exec n1 curl -sf http://192.0.2.1:9472/readyz"

# The address is somebody else's.
sed 's#node: n2#node: n3#; s#n2.sock#n3.sock#; s#state-n2#state-n3#; s#vni: 42#vni: 44#; s#vni: 43,#vni: 45,#; s#\[42\]#[44]#; s#\[43\]#[45]#' \
    "$work/n2.yaml" > "$work/n3.yaml"
echo 'listen: "192.0.2.2:47999"' >> "$work/n3.yaml"; echo 'plaintextListen: "192.0.2.2:4799"' >> "$work/n3.yaml"
code=0; ip netns exec n2 timeout -k 2 20 "$VXSEAL" up --allow-volatile-state -c "$work/n3.yaml" > "$work/out" 2>&1 || code=$?
[ $code = 1 ] && grep -q "metrics: cannot listen on TCP 192.0.2.2 port 9472: Address already in use" "$work/out" ||
    fail "exit code $code: $(cat "$work/out")"
ip -n n2 link show vxs44 > /dev/null 2>&1 && fail "a device was left behind"
echo PASSED
