# The demonstration, interrupted as by Ctrl-C: it ends with 130, reports nothing as failed, and leaves nothing behind.
. "$(dirname "$0")/common.sh"
# Foundation waits for children by way of the loopback interface.
ip link set lo up
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
"$VXSEAL" demo > "$work/demo.log" 2>&1 & demo=$!
children+=("$demo")
until_true 60 "the demonstration has begun" grep -q "ok .*sealed ping" "$work/demo.log"
[ -n "$(ls "$TMPDIR")" ] || fail "where are the demonstration's files?"
kill -INT "$demo"
code=0; wait "$demo" || code=$?
[ $code = 130 ] || fail "exit code $code"
grep -q "everything is taken down" "$work/demo.log" || fail "it does not say so"
grep -q FAIL "$work/demo.log" && fail "an interruption is shown as a failure"
[ -z "$(ls "$TMPDIR")" ] || fail "left behind: $(ls "$TMPDIR")"
pgrep -f "$TMPDIR" > /dev/null && fail "a process is left behind"
echo PASSED
