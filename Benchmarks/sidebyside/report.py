"""A run as text: what the machine was, the table of figures, the table of targets."""

import datetime
import os
import platform
import re
import subprocess

from .targets import TARGETS

COLUMNS = [
    ("TCP 1 stream Gbit/s", lambda f: number(f, "tcp1", 2)),
    ("4 streams", lambda f: number(f, "tcp4", 2)),
    ("1 stream, offloads off", lambda f: number(f, "tcp1_wire", 2)),
    ("UDP 64 B kpps", lambda f: number(f, "udp64", 0)),
    ("UDP 1300 B kpps", lambda f: number(f, "udp1300", 0)),
    ("RTT p50 / p99 µs", lambda f: f"{number(f, 'rtt_p50', 0)} / {number(f, 'rtt_p99', 0)}"),
    ("CPU s/GB (daemons)", lambda f: f"{number(f, 'cpu', 2)} ({number(f, 'cpu_daemons', 2)})"),
    ("RSS MiB", lambda f: number(f, "rss", 1)),
]
NOTES = """\
Both nodes, the iperf3 client and its server share the machine. One contender at a time has processes and devices; \
the order is the table's, again in each round. Offloads off: TSO, GSO, GRO and UDP segmentation of both ends of the veth \
pair (checksum offload stays), so that every packet crosses by itself as on a wire. CPU: seconds that the whole machine \
was busy per GB of the first column, iperf3 and both kernels included, hence the bare veth's figure is what the measuring \
itself takes; in brackets what the two daemons used. RSS: the peak of one daemon. UDP: packets received while the sender \
is unlimited; the bare veth's figures are the most that iperf3 itself can do here."""


def number(figures, name, digits):
    return f"{figures[name]:.{digits}f}" if name in figures else "-"


def table(head, rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def machine():
    text = open("/proc/cpuinfo").read()
    model = re.search(r"model name\s*: (.*)", text) or re.search(r"Hardware\s*: (.*)", text)
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        # Without the suffix that a distribution or host adds.
        "kernel": re.match(r"[0-9.]+", platform.release())[0],
    }


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return None


def versions(contenders, root):
    """Versions of vxseal's sources, of iperf3 and of the packages whose programs were measured."""
    found = {"vxseal": first_line("git", "-C", str(root), "describe", "--always", "--dirty") or "unknown"}
    wanted = {"iperf3", "libsodium23", *(package for contender in contenders for package in contender.packages)}
    for package in sorted(wanted):
        version = first_line("dpkg-query", "-W", "-f", "${Version}", package)
        if version:
            found[package] = version
    return found


def describe(contenders, arguments, command, root):
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(contenders, root),
        "command": command,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
    }


def headline(run):
    about = run["machine"]
    rounds = f"medians of {run['rounds']} rounds" if run["rounds"] > 1 else "1 round"
    return (
        f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}; {run['date']}; "
        f"{rounds}, {run['seconds']} s each transfer"
    )


def figures_table(run):
    rows = [[row["title"], *(show(row["median"]) for _, show in COLUMNS)] for row in run["contenders"]]
    return table(["contender", *(title for title, _ in COLUMNS)], rows)


def targets_table(run):
    figures = {row["id"]: row["median"] for row in run["contenders"]}
    peers = [row["id"] for row in run["contenders"] if row["kind"] == "peer"]
    return table(["target", "wanted", "measured", "met"], [target.row(figures, peers) for target in TARGETS])


def markdown(run):
    parts = [
        "# Side by side",
        headline(run) + ". Compare ratios: absolute figures move with the machine.",
        figures_table(run),
        NOTES,
        "## Against the targets",
        targets_table(run),
    ]
    for title, items in (("Skipped", run["skipped"]), ("Went wrong", run["failures"])):
        if items:
            parts.append(f"## {title}\n\n" + "\n".join(f"- {item}" for item in items))
    parts.append("## Made by\n\n    " + run["command"])
    parts.append(table(["program", "version"], [[name, version] for name, version in run["versions"].items()]))
    return "\n\n".join(parts) + "\n"
