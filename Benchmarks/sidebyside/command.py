"""The command line of the benchmark, and the order of a run."""

import argparse
import fnmatch
import json
import os
import pathlib
import signal
import statistics
import sys

from .chart import chart
from .contenders import baselines, vxseals
from .measure import FIGURES, Meter
from .peers import peers
from .report import describe, figures_table, headline, markdown, targets_table
from .stage import Failed, Stage

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "Benchmarks/results"
SMOKE = "veth,kernel,plaintext,sealed"
INSIDE = "VXSEAL_BENCH_INSIDE"


def parse():
    parser = argparse.ArgumentParser(
        prog="Benchmarks/run",
        description="Measures a bare veth pair, the kernel's VXLAN, encrypted user space tunnels and vxseal between two "
        "namespaces of this machine, one at a time, round-robin, and prints medians and how they compare with the "
        "targets. A whole run writes Benchmarks/results/; --only and --smoke write where --output says.",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is measured (default 3)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one transfer (default 3)")
    parser.add_argument("--only", metavar="NAMES", help="contenders to measure, with commas; patterns as sealed-* too")
    parser.add_argument("--smoke", action="store_true", help=f"one short round of {SMOKE}")
    parser.add_argument("--output", type=pathlib.Path, help="folder to write table, figures and chart into")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / ".build/release/vxseal", help="vxseal to measure")
    parser.add_argument("--list", action="store_true", help="list the contenders and end")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    if arguments.smoke:
        arguments.rounds, arguments.seconds, arguments.only = 1, 1, arguments.only or SMOKE
    return parser, arguments


def pick(parser, arguments):
    """The contenders that were asked for, in the order of the table."""
    every = [*baselines(), *peers(), *vxseals(str(arguments.binary.resolve()))]
    if arguments.list:
        print("\n".join(f"{contender.identifier:22}{contender.title}" for contender in every))
        sys.exit(0)
    patterns = arguments.only.split(",") if arguments.only else ["*"]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(contender.identifier, pattern) for contender in every):
            parser.error(f"no contender is called {pattern}; --list names them")
    chosen = [c for c in every if any(fnmatch.fnmatch(c.identifier, pattern) for pattern in patterns)]
    if any(contender.kind == "vxseal" for contender in chosen) and not os.access(arguments.binary, os.X_OK):
        parser.error(f"{arguments.binary} is not there; `make release` builds it, --binary names another")
    return chosen


def tell(text):
    print(text, file=sys.stderr, flush=True)


def run(chosen, arguments):
    """Measures everything, and returns the run as plain values."""
    stage = Stage()
    skipped, failures, contenders = [], [], []
    for contender in chosen:
        reason = contender.refusal(stage)
        if reason is None:
            contenders.append(contender)
        else:
            skipped.append(f"{contender.title}: {reason}")
            tell(f"skipped: {skipped[-1]}")
    rounds = {contender.identifier: [] for contender in contenders}
    meter = Meter(stage, arguments.seconds)
    try:
        for number in range(1, arguments.rounds + 1):
            for contender in contenders:

                def complain(text):
                    failures.append(f"round {number}, {contender.title}: {text}")
                    tell(f"error: {failures[-1]}")

                try:
                    contender.start(stage)
                    rounds[contender.identifier].append(meter.measure(contender, complain))
                    tell(f"round {number} of {arguments.rounds}: {contender.title}")
                except Failed as failure:
                    complain(str(failure))
                finally:
                    contender.stop(stage)
    finally:
        stage.stop_daemons()
    rows = [
        {
            "id": contender.identifier,
            "title": contender.title,
            "kind": contender.kind,
            "mtu": contender.mtu,
            "median": medians(rounds[contender.identifier]),
            "rounds": rounds[contender.identifier],
        }
        for contender in contenders
    ]
    return {"contenders": rows, "skipped": skipped, "failures": failures, "figures": FIGURES}


def medians(rounds):
    values = {name: [figures[name] for figures in rounds if name in figures] for name in FIGURES}
    return {name: round(statistics.median(some), 3) for name, some in values.items() if some}


def write(folder, result):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(markdown(result))
    (folder / "chart.svg").write_text(chart(result))


def enter_namespaces():
    """Starts this program anew in namespaces of its own, unless it is there."""
    if os.environ.get(INSIDE) != "1":
        # As root with root's own capabilities, otherwise as root of a user namespace.
        flags = "-nm" if os.geteuid() == 0 else "-Urnm"
        os.execvpe("unshare", ["unshare", flags, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})
    # Daemons are stopped and waited for also when this process is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def main():
    parser, arguments = parse()
    chosen = pick(parser, arguments)
    enter_namespaces()
    command = " ".join(["Benchmarks/run", *sys.argv[1:]])
    try:
        measured = run(chosen, arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    result = {**describe(chosen, arguments, command, ROOT), **measured}
    print(f"{headline(result)}\n\n{figures_table(result)}\n\n{targets_table(result)}")
    folder = arguments.output or (None if arguments.only else RESULTS)
    if folder:
        write(folder, result)
        print(f"\nwritten to {folder}")
    if result["failures"]:
        sys.exit(f"error: {len(result['failures'])} measurements went wrong, see above")
