# The log as JSON, and in journald's native protocol with a socket of the script's own in journald's place.
. "$(dirname "$0")/common.sh"
mkdir -p /run/systemd/journal
python3 "$(dirname "$0")/notified.py" /run/systemd/journal/socket "$work/journal" & children+=($!)
until_true 5 "the journal listens" test -S /run/systemd/journal/socket
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; "$VXSEAL" genpsk --output "$work/$n.psk"; done
for n in n1 n2; do
    m=n$((3 - ${n#n}))
    { head_of "$n"; printf 'networks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "${n#n}"
      peer_of "$m" "192.0.2.${m#n}:47890"; printf '    presharedKeyFile: n1.psk\n'; } > "$work/$n.yaml"
done
example_keys="--log-format json" up n1
cat > "$work/journaled" <<'END'
#!/bin/bash
JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr) exec "$@"
END
chmod +x "$work/journaled"
launcher=$work/journaled up n2
until_true 20 "n1 logs the session" grep -q '"message":"session established"' "$work/n1.log"
until_true 20 "n2 tells the journal of the session" grep -q 'session established' "$work/journal"
"$VXSEAL" rotate identity --wait --socket "$work/n1.sock" > /dev/null
"$VXSEAL" rotate psk n2 --wait --socket "$work/n1.sock" > /dev/null
stop n1 TERM
stop n2 TERM
until_true 5 "the end is in the journal" grep -q 'vxseal has ended' "$work/journal"

# Each line is an object of the same four keys.
python3 - "$work/n1.log" <<'END' || fail "n1's log is not as documented"
import datetime, json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) >= 5, lines
for line in lines:
    assert set(line) == {"time", "level", "message", "fields"}, line
    datetime.datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert all(isinstance(value, str) for value in line["fields"].values()), line
up, = [line for line in lines if line["message"] == "vxseal is up"]
assert up["fields"]["node"] == "n1" and up["level"] == "info", up
session = [line for line in lines if line["message"] == "session established"]
assert session and session[0]["fields"]["peer"] == "n2" and session[0]["fields"]["endpoint"] == "192.0.2.2:47890", session
END
for field in 'PRIORITY=6' 'SYSLOG_IDENTIFIER=vxseal' 'VXSEAL_PEER=n1' 'VXSEAL_ENDPOINT=192.0.2.1:47890'; do
    grep 'MESSAGE=session established: endpoint=192.0.2.1:47890 peer=n1|' "$work/journal" | grep -qF "|$field|" ||
        fail "the journal has no $field: $(cat "$work/journal")"
done
grep -q . "$work/n2.log" && fail "n2 wrote to standard error what the journal has: $(cat "$work/n2.log")"
# No key but public ones, of what was there before and after the rotations.
for secret in "$work"/*.key "$work"/*.psk; do
    ! grep -qF "$(cat "$secret")" "$work/n1.log" "$work/journal" || fail "the log holds $secret"
done
! grep -hE '^(psk|next-psk) ' "$work"/state-*/rotation | tr ' ' '\n' | grep -E '.{40,}' | grep -qFf - "$work/n1.log" "$work/journal" ||
    fail "the log holds a rotated preshared key"
echo PASSED
