"""Makes a thread of another process do a system call, as somebody would who has taken it over, and prints what comes of it: a
number, the name of an errno, or "killed by" and a signal. x86-64.
usage: inject.py THREAD NUMBER [ARGUMENT...]     an argument is a number, or a text that begins with / or @ (without the @)"""
import ctypes
import errno
import os
import signal
import struct
import sys

ATTACH, DETACH, STEP, GETREGS, SETREGS = 16, 17, 9, 12, 13
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
         "ds es fs gs").split()
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, thread, data=None):
    if libc.ptrace(request, thread, None, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace %d" % request)


def wait(thread):
    _, status = os.waitpid(thread, 0x40000000)  # __WALL
    if os.WIFSIGNALED(status):
        print("killed by", signal.Signals(os.WTERMSIG(status)).name)
        sys.exit()


thread, number = int(sys.argv[1]), int(sys.argv[2])
ptrace(ATTACH, thread)
wait(thread)
raw = ctypes.create_string_buffer(27 * 8)
ptrace(GETREGS, thread, raw)
saved = raw.raw
registers = dict(zip(NAMES, struct.unpack("27Q", saved)))
assert registers["orig_rax"] < 1 << 32, "the thread is in no system call"
place = registers["rsp"] - 4096
values = []
with open("/proc/%d/mem" % thread, "r+b", buffering=0) as memory:
    for argument in sys.argv[3:]:
        if argument[0] in "/@":
            text = argument.removeprefix("@").encode() + b"\0"
            memory.seek(place)
            memory.write(text)
            values.append(place)
            place += len(text)
        else:
            values.append(int(argument, 0) % (1 << 64))
for name, value in zip("rdi rsi rdx r10 r8 r9".split(), values):
    registers[name] = value
# Back to the instruction that it waits behind, and no restart of what that was.
registers.update(rax=number, orig_rax=(1 << 64) - 1, rip=registers["rip"] - 2)
ptrace(SETREGS, thread, struct.pack("27Q", *(registers[name] for name in NAMES)))
ptrace(STEP, thread)
wait(thread)
ptrace(GETREGS, thread, raw)
result, = struct.unpack_from("q", raw.raw, NAMES.index("rax") * 8)
ptrace(SETREGS, thread, saved)
ptrace(DETACH, thread)
print(errno.errorcode[-result] if -4096 < result < 0 else result)
