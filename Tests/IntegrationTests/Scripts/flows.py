"""Numbered datagrams of several flows, and what a capture says of lanes.

send ADDRESS PORT FLOWS COUNT RATE   COUNT datagrams of each flow, RATE a second of each; a flow has a source port
receive PORT FLOWS COUNT             until all have come, or none for 3 s: how many came, twice, and out of a flow's order
lanes FILE ADDRESS                   of the transport data that ADDRESS sent in a capture of replay.py: `lane:source port`
                                     of every lane seen, and how many counters were used twice under an index and lane
"""
import select, socket, struct, sys, time

command = sys.argv[1]
if command == "send":
    target, port, flows, count, rate = sys.argv[2], *map(int, sys.argv[3:7])
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    start = time.monotonic()
    for number in range(count):
        # Every datagram has its moment; a late sender catches up in a burst.
        while time.monotonic() < start + number / rate:
            time.sleep(0.0005)
        for flow, sender in enumerate(sockets):
            sender.sendto(struct.pack("!II", flow, number) + b"." * 600, (target, port))
elif command == "receive":
    port, flows, count = map(int, sys.argv[2:5])
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    receiver.bind(("0.0.0.0", port))
    print("ready", flush=True)
    seen, last, twice, disordered = set(), {}, 0, 0
    while len(seen) < flows * count:
        # The first may take as long as the sender needs to start.
        if not select.select([receiver], [], [], 3 if seen else 20)[0]:
            break
        flow, number = name = struct.unpack("!II", receiver.recv(2048)[:8])
        twice += name in seen
        disordered += number < last.get(flow, 0)
        seen.add(name)
        last[flow] = max(number, last.get(flow, 0))
    print(len(seen), twice, disordered)
elif command == "lanes":
    data, source = open(sys.argv[2], "rb").read(), socket.inet_aton(sys.argv[3])
    ports, nonces, twice, place = set(), set(), 0, 0
    while len(data) - place >= 4:
        length = struct.unpack_from("!I", data, place)[0]
        frame = data[place + 4 : place + 4 + length]
        place += 4 + length
        if frame[26:30] != source or len(frame) < 58 or frame[42] != 4:
            continue
        ports.add((frame[43], struct.unpack("!H", frame[34:36])[0]))
        nonce = frame[43:44] + frame[46:58]
        twice += nonce in nonces
        nonces.add(nonce)
    print(*[f"{lane}:{port}" for lane, port in sorted(ports)], twice)
