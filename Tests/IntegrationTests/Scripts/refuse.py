"""Runs a program under a kernel that refuses calls (seccomp(2)).

refuse.py CALL[:ARGUMENT[:ARGUMENT]] ERRNO ... -- PROGRAM ARGUMENT...

ioctl:REQUEST       an ioctl, by its name
setsockopt:LEVEL:OPTION
anything else       a system call whatever its arguments
"""
import ctypes, errno, os, platform, struct, sys

NUMBERS = {
    "x86_64": {"ioctl": 16, "setsockopt": 54, "recvmmsg": 299, "sendmmsg": 307, "bpf": 321},
    "aarch64": {"ioctl": 29, "setsockopt": 208, "recvmmsg": 243, "sendmmsg": 269, "bpf": 280},
}[platform.machine()]
# linux/if_tun.h, asm/socket.h, linux/udp.h
NAMES = {
    "TUNSETIFF": 0x400454CA, "TUNSETOFFLOAD": 0x400454D0, "TUNSETVNETHDRSZ": 0x400454D8,
    "TUNSETSTEERINGEBPF": 0x800454E0, "SOL_SOCKET": 1, "SO_ATTACH_FILTER": 26, "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33, "SO_ATTACH_REUSEPORT_CBPF": 51, "IPPROTO_UDP": 17, "UDP_SEGMENT": 103, "UDP_GRO": 104,
}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def instruction(code, value, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, value)


def refusal(rule, code):
    """Refuses what the rule says, and goes on with the next instruction for anything else."""
    call, *arguments = rule.split(":")
    # struct seccomp_data: the number first, the arguments from 16 on; their low halves, for all machines here are little-endian.
    checks = [(0, NUMBERS[call])] + [(24 + 8 * place, NAMES[name]) for place, name in enumerate(arguments)]
    text = b""
    for place, (offset, value) in enumerate(checks):
        behind = 2 * (len(checks) - place - 1) + 1
        text += instruction(LOAD, offset) + instruction(EQUAL, value, 0, behind)
    return text + instruction(RETURN, ERRNO | getattr(errno, code))


end = sys.argv.index("--")
rules = sys.argv[1:end]
program = b"".join(refusal(rule, code) for rule, code in zip(rules[::2], rules[1::2])) + instruction(RETURN, ALLOW)
libc = ctypes.CDLL(None, use_errno=True)
memory = ctypes.create_string_buffer(program, len(program))
filter = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(memory))
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0):
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])
