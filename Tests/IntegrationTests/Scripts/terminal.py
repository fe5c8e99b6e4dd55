"""`vxseal top` on a terminal: terminal.py VXSEAL SOCKET. Ends with an exception where it does not behave."""
import fcntl, os, pty, select, signal, struct, sys, termios, time

vxseal, socket = sys.argv[1:3]


class Terminal:
    def __init__(self, rows, columns):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            # The screen is made when its size is known.
            sys.stdin.readline()
            os.execv(vxseal, [vxseal, "top", "-i", "0.1", "--socket", socket])
        self.resize(rows, columns)
        self.text = ""
        self.press("\n")

    def resize(self, rows, columns):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.rows, self.columns = rows, columns

    def press(self, keys):
        os.write(self.descriptor, keys.encode())

    def until(self, *wanted):
        """Reads until one drawing has all of the texts."""
        deadline = time.monotonic() + 20
        self.text = ""
        while time.monotonic() < deadline:
            if select.select([self.descriptor], [], [], 0.5)[0]:
                self.text += os.read(self.descriptor, 65536).decode(errors="replace")
            drawings = self.text.split("\x1b[H")
            if any(all(w in d for w in wanted) for d in drawings):
                return
        raise AssertionError(f"{wanted} did not appear: {self.text[-2000:]!r}")

    def end(self, code):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if select.select([self.descriptor], [], [], 0.1)[0]:
                    self.text += os.read(self.descriptor, 65536).decode(errors="replace")
            except OSError:
                pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                got = os.waitstatus_to_exitcode(status)
                assert got == code, (got, self.text[-500:])
                return
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError("it did not end")


terminal = Terminal(24, 80)
terminal.until("n1  up", "n2", "established", "q quit")
terminal.press("\t")
terminal.until("vxs42", "sealed")
terminal.press("4")
terminal.until("FRAMES IN")
terminal.press("1/nobody\r")
terminal.until("filter nobody: 0 of 1")
terminal.press("\x1b")
terminal.until("n2", "established", "q quit")
for rows, columns in [(3, 10), (1, 1), (5, 200), (24, 80)]:
    terminal.resize(rows, columns)
    terminal.until("n" if columns > 9 else "")
terminal.until("q quit")
terminal.press("q")
terminal.end(0)
# The terminal is as it was: the other screen left, the cursor back.
assert "\x1b[?25h\x1b[?1049l" in terminal.text, terminal.text[-200:]

# Ctrl-C ends it as q does.
terminal = Terminal(24, 80)
terminal.until("q quit")
terminal.press("\x03")
terminal.end(0)
assert "\x1b[?1049l" in terminal.text, terminal.text[-200:]

# The terminal goes away.
terminal = Terminal(24, 80)
terminal.until("q quit")
os.close(terminal.descriptor)
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    pid, status = os.waitpid(terminal.pid, os.WNOHANG)
    if pid:
        break
    time.sleep(0.05)
else:
    os.kill(terminal.pid, signal.SIGKILL)
    raise AssertionError("it outlives its terminal")
