"""Numbered datagrams between stations, all to all, and what of them was lost.

send OWN-ADDRESS FILE ADDRESS...   until SIGTERM: sends to each of the others in turn, and writes what it sent and received
check FILE... -- NAME:ADDRESS:BEGIN:END...   fails for a lost datagram of a pair that no swap of either explains
"""
import json
import select
import signal
import socket
import sys
import time

PORT, INTERVAL = 7000, 0.004


def boot_time():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def send(own, file, others):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    link.bind((own, PORT))
    link.setblocking(False)
    began = boot_time()
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    sent, received = {other: [] for other in others}, {other: [] for other in others}
    turn, due = 0, time.monotonic()
    while not stopping:
        if select.select([link], [], [], max(0, due - time.monotonic()))[0]:
            data, (source, _) = link.recvfrom(64)
            if source in received:
                received[source].append(int(data))
            continue
        other = others[turn % len(others)]
        try:
            number = len(sent[other])
            sent[other].append(boot_time())
            link.sendto(b"%d" % number, (other, PORT))
        except OSError:
            pass  # the way is gone during a swap: lost like any other
        turn, due = turn + 1, max(due + INTERVAL, time.monotonic() - 0.1)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        if select.select([link], [], [], 0.1)[0]:
            data, (source, _) = link.recvfrom(64)
            if source in received:
                received[source].append(int(data))
    with open(file, "w") as out:
        json.dump({"own": own, "began": began, "sent": sent, "received": received}, out)


def check(files, swaps):
    stations = {}
    for file in files:
        with open(file) as contents:
            station = json.load(contents)
        stations[station["own"]] = station
    windows = [(swap.split(":")[1], float(swap.split(":")[2]), float(swap.split(":")[3])) for swap in swaps]
    end = min(times[-1] for station in stations.values() for times in station["sent"].values())
    begin = max(station["began"] for station in stations.values())
    total = lost = twice = unexplained = 0
    for source, station in stations.items():
        for target, times in station["sent"].items():
            arrived = stations[target]["received"][source]
            twice += len(arrived) - len(set(arrived))
            total += len(times)
            for number in set(range(len(times))) - set(arrived):
                if not begin < times[number] < end - 0.2:
                    continue  # the receiver may not have begun, or have ended
                lost += 1
                if not any(who in (source, target) and begin <= times[number] <= over for who, begin, over in windows):
                    unexplained += 1
                    print(f"lost outside of any swap: {source} to {target}, number {number} at {times[number]:.3f}")
    print(f"{total} sent, {lost} lost during swaps, {unexplained} lost otherwise, {twice} twice")
    sys.exit(1 if unexplained or twice or total < 1000 * len(stations) else 0)


if sys.argv[1] == "send":
    send(sys.argv[2], sys.argv[3], sys.argv[4:])
else:
    middle = sys.argv.index("--")
    check(sys.argv[2:middle], sys.argv[middle + 1:])
