"""Two network namespaces joined by a veth pair, and the processes that run in them.

Everything is made inside the mount and network namespace of this run: namespaces, devices and files (on a tmpfs over
/run) disappear with its last process, and the kernel ends the others when this one dies, however it dies.
"""

import json
import pathlib
import subprocess
import time

NAMES = ("a", "b")
UNDERLAY = {"a": "192.0.2.1", "b": "192.0.2.2"}
# What segmentation and receive offloads are called by ethtool. Checksum offload stays: cards of a real wire have it.
OFFLOADS = ("tso", "gso", "gro", "tx-udp-segmentation")


class Failed(Exception):
    """Something that was measured or started did not do what it must."""


class Stage:
    def __init__(self):
        self.work = pathlib.Path("/run/bench")
        self.daemons = []
        self.run("mount", "-t", "tmpfs", "bench", "/run")
        for folder in ("/run/netns", "/run/bench"):
            pathlib.Path(folder).mkdir()
        self.log_path = self.work / "log"
        self.log = self.log_path.open("w")
        for name in NAMES:
            self.run("ip", "netns", "add", name)
            self.run("ip", "-n", name, "link", "set", "lo", "up")
        self.run("ip", "link", "add", "u", "netns", "a", "type", "veth", "peer", "name", "u", "netns", "b")
        for name in NAMES:
            self.run("ip", "-n", name, "address", "add", UNDERLAY[name] + "/24", "dev", "u")
            self.run("ip", "-n", name, "link", "set", "u", "up")

    def run(self, *command, within=None, stdin=None, timeout=60, check=True):
        """Runs a command, in a namespace if one is named, and returns what it printed."""
        try:
            done = subprocess.run(
                self._command(within, command), input=stdin, timeout=timeout, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command)}: not done within {timeout} s") from None
        if check and done.returncode != 0:
            # iperf3 tells its errors in the JSON that it prints.
            raise Failed(f"{' '.join(command)}: {(done.stderr.strip() or done.stdout.strip())[-400:]}")
        return done.stdout

    def start(self, *command, within, environment=None, output=None):
        """Starts a process that ends with this one, and returns it."""
        out = output or self.log
        return subprocess.Popen(
            self._command(within, command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )

    def start_daemon(self, *command, within, environment=None, output=None):
        """Starts a process of the contender that is about to be measured."""
        process = self.start(*command, within=within, environment=environment, output=output)
        self.daemons.append(process)
        return process

    def stop_daemons(self):
        """Ends the contender's processes, so that none of them takes time from the next."""
        for process in self.daemons:
            process.terminate()
        for process in self.daemons:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.daemons.clear()

    @staticmethod
    def _command(within, command):
        prefix = ["ip", "netns", "exec", within] if within else []
        return [*prefix, "setpriv", "--pdeathsig", "KILL", *command]

    def until(self, what, condition, seconds=20, pace=0.02):
        """Polls until the condition holds, and fails when a daemon ends meanwhile or the time is up."""
        deadline = time.monotonic() + seconds
        while not condition():
            for process in self.daemons:
                if process.poll() is not None:
                    raise Failed(f"{what}: {process.args[-1]} ended with {process.returncode}; {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"{what}: not within {seconds} s; {self.last_words()}")
            time.sleep(pace)

    def last_words(self):
        return "its log ends: " + " / ".join(self.log_path.read_text(errors="replace").splitlines()[-3:])

    def write(self, name, text, mode=0o600):
        """Writes a file below the work folder and returns its path as text."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def bring_up(self, name, device, address, mtu=None):
        """Waits for a daemon's device and gives it its address."""
        self.until(f"device {device}", lambda: self.has_device(name, device))
        if mtu:
            self.run("ip", "-n", name, "link", "set", device, "mtu", str(mtu))
        self.run("ip", "-n", name, "address", "add", address + "/24", "dev", device)
        self.run("ip", "-n", name, "link", "set", device, "up")

    def has_device(self, name, device):
        return any(link["ifname"] == device for link in json.loads(self.run("ip", "-n", name, "-j", "link")))

    def until_reached(self, target, mtu):
        """Waits until a packet of the whole inner MTU passes and is answered."""
        ping = ("ping", "-q", "-c", "1", "-W", "1", "-M", "do", "-s", str(mtu - 28), target)
        self.until(f"{target} answers a ping of {mtu} bytes", lambda: "1 received" in self.run(*ping, within="a", check=False))

    def set_offloads(self, on):
        """Switches segmentation and receive offloads of both ends of the veth pair."""
        settings = [word for offload in OFFLOADS for word in (offload, "on" if on else "off")]
        for name in NAMES:
            self.run("ethtool", "-K", "u", *settings, within=name)
