"""An idle hub with many configured peers: a few of them daemons that have sessions with it, the others never there."""

import argparse
import base64
import json
import os
import pathlib
import sys
import time

from .command import ROOT, enter_namespaces
from .measure import peak_mebibytes, processor_seconds
from .stage import UNDERLAY, Failed, Stage


def key(stage, binary, name):
    """Makes a private key and returns the public one."""
    path = stage.work / f"{name}.key"
    stage.run(binary, "genkey", "--output", str(path))
    return stage.run(binary, "pubkey", stdin=path.read_text()).strip()


def configuration(stage, name, listen, peers):
    head = [
        f"node: {name}",
        f"privateKeyFile: {name}.key",
        f"stateDirectory: {stage.work}/state-{name}",
        f"adminSocket: {stage.work}/{name}.sock",
        f'listen: "{listen}"',
        "networks:",
        f"  - {{vni: 42, device: vx-{name}}}",
        "peers:",
    ]
    return stage.write(f"{name}.yaml", "\n".join(head + peers) + "\n")


def peer(name, public, endpoint):
    where = f', endpoint: "{endpoint}"' if endpoint else ""
    return f'  - {{name: {name}, publicKey: "{public}"{where}, networks: [42]}}'


def established(stage, binary):
    """How many sessions the hub has; none while it does not answer yet."""
    text = stage.run(binary, "status", "--json", "--socket", f"{stage.work}/hub.sock", check=False)
    return sum(one["state"] == "established" for one in json.loads(text)["peers"]) if text else 0


def measure(stage, arguments, binary, absent, address, settle):
    """Seconds of processor time per second and the memory of a hub with `absent` peers more that never answer.

    `address` gives an absent peer's endpoint by its number, or nothing; `settle` seconds pass first.
    """
    hub_public = key(stage, binary, "hub")
    entries = []
    for number in range(arguments.live):
        name, endpoint = f"n{number}", f"{UNDERLAY['b']}:{47900 + number}"
        entries.append(peer(name, key(stage, binary, name), endpoint))
        path = configuration(stage, name, endpoint, [peer("hub", hub_public, UNDERLAY["a"] + ":47890")])
        stage.start_daemon(binary, "up", "--allow-volatile-state", "-c", path, within="b")
    for number in range(absent):
        # Any 32 bytes are a public key of X25519 (RFC 7748, 5).
        entries.append(peer(f"absent{number}", base64.b64encode(os.urandom(32)).decode(), address(number)))
    path = configuration(stage, "hub", UNDERLAY["a"] + ":47890", entries)
    hub = stage.start_daemon(binary, "up", "--allow-volatile-state", "-c", path, within="a")
    try:
        stage.until("every live peer has a session", lambda: established(stage, binary) == arguments.live, 60, pace=0.5)
        time.sleep(settle)
        used, start = processor_seconds(hub.pid), time.monotonic()
        time.sleep(arguments.seconds)
        used, elapsed = processor_seconds(hub.pid) - used, time.monotonic() - start
        return used / elapsed, peak_mebibytes(hub.pid)
    finally:
        stage.stop_daemons()
        for path in stage.work.glob("*.key"):
            path.unlink()


def main():
    parser = argparse.ArgumentParser(prog="Benchmarks/idle", description=__doc__)
    parser.add_argument("--peers", type=int, default=1000, help="peers of the hub (default 1000)")
    parser.add_argument("--live", type=int, default=16, help="how many of them are daemons here (default 16)")
    parser.add_argument("--seconds", type=int, default=20, help="how long it is watched (default 20)")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / ".build/release/vxseal", help="vxseal to measure")
    arguments = parser.parse_args()
    binary = str(arguments.binary.resolve())
    enter_namespaces()
    stage = Stage()
    absent = arguments.peers - arguments.live
    silent = lambda number: f"192.0.2.{100 + number % 100}:{20000 + number}"
    cases = [
        (f"{arguments.live} peers, all with sessions", 0, None, 0),
        (f"{absent} more without an endpoint, which never call", absent, lambda number: None, 0),
        (f"{absent} more that do not answer, in the first 90 s", absent, silent, 0),
        (f"{absent} more that do not answer, after that", absent, silent, 100),
    ]
    print("| idle hub | CPU, % of a core (wanted: below 2) | peak memory MiB |\n|---|---|---|", flush=True)
    for title, count, address, settle in cases:
        try:
            load, memory = measure(stage, arguments, binary, count, address, settle)
        except Failed as failure:
            sys.exit(f"error: {title}: {failure}")
        print(f"| {title} | {100 * load:.2f} | {memory:.1f} |", flush=True)
