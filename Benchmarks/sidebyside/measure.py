"""The figures of one contender in one round."""

import json
import os
import re
import subprocess

from .stage import Failed

PINGS = 500
# What each figure is; `report` shows them in this order. GB is 10^9 bytes.
FIGURES = {
    "tcp1": "TCP, 1 stream, Gbit/s received",
    "tcp4": "TCP, 4 streams, Gbit/s received",
    "tcp1_wire": "TCP, 1 stream, Gbit/s received, segmentation and receive offloads of the veth pair off",
    "udp64": "UDP, 64 bytes, thousand packets a second received, sender unlimited",
    "udp1300": "UDP, 1300 bytes, thousand packets a second received, sender unlimited",
    "rtt_p50": "idle ping, median, microseconds",
    "rtt_p99": "idle ping, 99th percentile, microseconds",
    "cpu": "seconds that the whole machine was busy per GB of TCP, 1 stream: both nodes, both kernels, both iperf3",
    "cpu_daemons": "seconds of processor time of both daemons per GB of the same stream",
    "rss": "largest resident set of one daemon in the round, MiB (VmHWM)",
}
TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Time that all cores together were not idle since boot: user, nice, system, interrupts, but not steal."""
    user, nice, system, _, _, irq, softirq = map(int, open("/proc/stat").readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def processor_seconds(pid):
    """User and system time of all threads of a process."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mebibytes(pid):
    return int(re.search(r"VmHWM:\s*(\d+) kB", open(f"/proc/{pid}/status").read())[1]) / 1024


class Meter:
    def __init__(self, stage, seconds):
        self.stage = stage
        self.seconds = seconds
        self.port = 5200

    def measure(self, contender, complain):
        """All figures that can be had, by name; what goes wrong is told to `complain`, and its figures are absent."""
        target = contender.target
        figures = {}
        parts = [
            lambda: self.round_trips(target),
            lambda: self.stream(target),
            lambda: {"tcp4": self.iperf(target, "-P", "4")["sum_received"]["bits_per_second"] / 1e9},
            lambda: {"udp64": self.datagrams(target, 64)},
            lambda: {"udp1300": self.datagrams(target, 1300)},
            lambda: self.on_a_wire(target),
            self.memory,
        ]
        for part in parts:
            try:
                figures.update(part())
            except Failed as failure:
                complain(str(failure))
        return figures

    def iperf(self, target, *options):
        """One iperf3 run with a server of its own, and the end of what it tells.

        On a port of its own too: what a run of datagrams leaves in queues would be taken for the next run's first.
        """
        self.port += 1
        port = str(self.port)
        server = self.stage.start("iperf3", "-s", "-1", "-p", port, within="b", output=subprocess.DEVNULL)
        try:
            listening = ("ss", "-ltnH", f"sport = :{port}")
            self.stage.until("iperf3 listens", lambda: port in self.stage.run(*listening, within="b"))
            command = ("iperf3", "-J", "-c", target, "-p", port, "-t", str(self.seconds), *options)
            return json.loads(self.stage.run(*command, within="a", timeout=self.seconds + 20))["end"]
        finally:
            server.terminate()
            server.wait()

    def stream(self, target):
        pids = [process.pid for process in self.stage.daemons]
        busy, daemons = busy_seconds(), sum(map(processor_seconds, pids))
        received = self.iperf(target)["sum_received"]
        busy, daemons = busy_seconds() - busy, sum(map(processor_seconds, pids)) - daemons
        gigabytes = received["bytes"] / 1e9
        figures = {"tcp1": received["bits_per_second"] / 1e9, "cpu": busy / gigabytes}
        return figures | ({"cpu_daemons": daemons / gigabytes} if pids else {})

    def datagrams(self, target, size):
        end = self.iperf(target, "-u", "-b", "0", "-l", str(size))["sum"]
        return (end["packets"] - end["lost_packets"]) / end["seconds"] / 1e3

    def round_trips(self, target):
        printed = self.stage.run("ping", "-c", str(PINGS), "-i", "0.002", target, within="a", check=False)
        times = sorted(float(time) * 1000 for time in re.findall(r"time=([0-9.]+) ms", printed))
        if len(times) < PINGS * 0.9:
            raise Failed(f"{len(times)} of {PINGS} pings answered by {target}")
        return {"rtt_p50": times[len(times) // 2], "rtt_p99": times[len(times) * 99 // 100]}

    def on_a_wire(self, target):
        self.stage.set_offloads(False)
        try:
            return {"tcp1_wire": self.iperf(target)["sum_received"]["bits_per_second"] / 1e9}
        finally:
            self.stage.set_offloads(True)

    def memory(self):
        return {"rss": max(peak_mebibytes(p.pid) for p in self.stage.daemons)} if self.stage.daemons else {}
