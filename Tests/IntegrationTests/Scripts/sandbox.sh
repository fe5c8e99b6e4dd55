# What a running daemon may still do: in every thread, and tried out by making a lane do what somebody would who had taken it
# over. Reload, rotation and devices under it are in the other scripts, which all run with it.
. "$(dirname "$0")/common.sh"
for n in n1 n2; do node "$n" "192.0.2.${n#n}" "fd00::${n#n}"; genkey "$n"; done
mkdir /run/elsewhere
"$VXSEAL" genpsk --output "$work/near.psk"
"$VXSEAL" genpsk --output /run/elsewhere/far.psk
write() {
    local m=n$((3 - ${1#n}))
    { head_of "$1"; printf 'lanes: 2\n%s\nnetworks:\n  - {vni: 42, addresses: [10.98.0.%s/24]}\npeers:\n' "${3:-}" "${1#n}"
      peer_of "$m" "192.0.2.${m#n}:47890"; printf '%s\n' "$2"; } > "$work/$1.yaml"
}
write n1 '    presharedKeyFile: near.psk'
write n2 "    presharedKeyFile: near.psk" 'sandbox: off'
up n1
up n2
until_true 20 "a session" established n1

# As status says, and in truth, thread by thread.
sandbox() { ask "$1" "s['sandbox']$2"; }
[ "$(sandbox n1 "['problems']")" = '[]' ] || fail "n1's sandbox has gaps: $(status n1)"
[ "$(sandbox n1 "['capabilities']")" = "['CAP_NET_ADMIN']" ] || fail "n1's capabilities: $(status n1)"
[ "$(sandbox n1 "['seccomp'] and s['sandbox']['noNewPrivileges'] and s['sandbox']['landlock'] >= 1")" = True ] || fail "$(status n1)"
"$VXSEAL" status --socket "$work/n1.sock" | grep -q '^  sandbox: seccomp, landlock (ABI [0-9]*), CAP_NET_ADMIN$' ||
    fail "$("$VXSEAL" status --socket "$work/n1.sock")"
"$VXSEAL" status --socket "$work/n2.sock" | grep -q '^  sandbox: OFF, with ' || fail "$("$VXSEAL" status --socket "$work/n2.sock")"
for task in "/proc/${daemons[n1]}/task/"*; do
    for line in 'NoNewPrivs:.1' 'Seccomp:.2' 'CapEff:.0000000000001000' 'CapPrm:.0000000000001000' 'CapInh:.0000000000000000' \
        'CapBnd:.0000000000001000' 'CapAmb:.0000000000000000'; do
        grep -qE "^$line$" "$task/status" || fail "$(cat "$task/comm") has $(grep "^${line%%:*}:" "$task/status")"
    done
done

# A key in a directory that the daemon did not start with is out of reach, and said to be; the one beside it is not.
write n1 '    presharedKeyFile: /run/elsewhere/far.psk'
"$VXSEAL" reload --socket "$work/n1.sock" 2> "$work/refused" && fail "n1 read a file out of its reach"
grep -q '/run/elsewhere/far.psk' "$work/refused" && grep -q 'sandbox' "$work/refused" || fail "$(cat "$work/refused")"
mv /run/elsewhere/far.psk "$work/far.psk"
write n1 '    presharedKeyFile: far.psk'
"$VXSEAL" reload --socket "$work/n1.sock" || fail "n1 does not read a new file beside its own"

if [ "$(uname -m)" = x86_64 ] && strace -qq -o /dev/null true 2>/dev/null; then
    lane() { local t; for t in "/proc/${daemons[$1]}/task/"*; do [ "$(cat "$t/comm")" = vxseal-lane1 ] && echo "${t##*/}"; done; }
    inject() { python3 "$(dirname "${BASH_SOURCE[0]}")/inject.py" "$@"; }
    # try NODE RESULT WHAT NUMBER [ARGUMENT...]
    try() {
        local result
        result=$(inject "$(lane "$1")" "${@:4}")
        [ "$result" = "$2" ] || fail "$3 by $1: $result, not $2"
    }
    try n1 EACCES "open of /etc/passwd" 2 /etc/passwd 0 0
    try n1 EACCES "a file in /tmp" 2 /tmp/vxseal-sandbox 0x42 0x180
    touch /run/elsewhere/victim
    try n1 EACCES "unlink" 87 /run/elsewhere/victim
    try n1 EACCES "another process's environment" 2 "/proc/$$/environ" 0 0
    try n1 ENOSYS "socket(AF_PACKET)" 41 17 3 0
    try n1 ENOSYS "memfd_create" 319 @x 0
    try n1 ENOSYS "mprotect to code" 10 0 4096 7
    try n1 ENOSYS "kill of another" 62 1 0
    try n1 ENOSYS "ioctl(TIOCSTI)" 16 0 0x5412 0
    # The same things where the sandbox is off: what is refused above is refused by it.
    case $(inject "$(lane n2)" 2 /etc/passwd 0 0) in E*) fail "n2, without a sandbox, may not open /etc/passwd" ;; esac
    case $(inject "$(lane n2)" 319 @x 0) in E*) fail "n2, without a sandbox, may not memfd_create" ;; esac
    established n1 || fail "n1 does not go on after what it was refused"
    # What only an intruder does ends the daemon.
    [ "$(inject "$(lane n1)" 59 /bin/true 0 0)" = "killed by SIGSYS" ] || fail "execve does not kill"
    code=0; wait "${daemons[n1]}" || code=$?
    [ $code = $((128 + 31)) ] || fail "n1 ended with $code, not by SIGSYS"
else
    echo "skipped: no thread is made to try what is forbidden, for want of tracing or of x86-64"
fi
echo PASSED
