"""Records frames on an interface and sends them again, changed or not; also makes datagrams of its own.

capture IFACE FILE              all UDP over IPv4, until SIGTERM
has IFACE FILE TYPE             succeeds when a datagram of a message type to 192.0.2.2 is among the recorded
answers IFACE FILE              how many recorded datagrams came from 192.0.2.2 and are not transport data
send IFACE FILE TYPE HOW COUNT  the first COUNT recorded datagrams of a message type to 192.0.2.2, HOW one of:
                                same, flip (a bit), index (another receiver index, of data)
forge IFACE FILE KEY            an initiation of random bytes with a right mac1 for the base64 public KEY, in a recorded frame
junk IFACE FILE                 datagrams of odd sizes and of random bytes to both ports, in a recorded frame
"""
import base64, hashlib, os, random, signal, socket, struct, sys


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_payload(frame, payload, port=47890):
    """The recorded frame's Ethernet, IPv4 and UDP headers around another payload; a UDP checksum of 0 is none (RFC 768)."""
    ip = bytearray(frame[14:34])
    ip[2:4] = struct.pack("!H", 28 + len(payload))
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack("!H", checksum(bytes(ip)))
    udp = frame[34:36] + struct.pack("!HHH", port, 8 + len(payload), 0)
    return frame[:14] + bytes(ip) + udp + payload


def recorded(path):
    data = open(path, "rb").read()
    while len(data) >= 4:
        length = struct.unpack("!I", data[:4])[0]
        yield data[4 : 4 + length]
        data = data[4 + length :]


command, interface, path = sys.argv[1:4]
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind((interface, 0))
if command == "capture":
    output = open(path, "wb", buffering=0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        frame = link.recv(65535)
        if len(frame) > 42 and frame[12:14] == b"\x08\0" and frame[23] == 17:
            output.write(struct.pack("!I", len(frame)) + frame)

target = socket.inet_aton("192.0.2.2")
frames = list(recorded(path))
if command == "answers":
    print(sum(1 for frame in frames if frame[26:30] == target and frame[42] != 4))
    sys.exit(0)
frames = [frame for frame in frames if frame[30:34] == target]
if command == "has":
    sys.exit(0 if any(frame[42] == int(sys.argv[4]) for frame in frames) else 1)
sent = 0
if command == "send":
    kind, how, count = int(sys.argv[4]), sys.argv[5], int(sys.argv[6])
    for frame in [f for f in frames if f[42] == kind][:count]:
        payload = bytearray(frame[42:])
        if how == "flip":
            # A counter of the future in data, which would be a replay otherwise; what mac1 covers in a handshake.
            payload[13 if kind == 4 else 20] ^= 1
        if how == "index":
            payload[4] ^= 0xFF
        link.send(with_payload(frame, bytes(payload)))
        sent += 1
elif command == "forge":
    key = base64.b64decode(sys.argv[4])
    body = b"\x01\0\0\0" + os.urandom(1352 - 4 - 32)
    mac = hashlib.blake2b(body, digest_size=16, key=hashlib.blake2b(b"vxseal mac1" + key, digest_size=32).digest()).digest()
    link.send(with_payload(frames[0], body + mac + bytes(16)))
    sent = 1
elif command == "junk":
    generator = random.Random(47890)
    for port in (47890, 4789):
        for length in list(range(0, 70)) + [1220, 1352, 1400, 1472]:
            link.send(with_payload(frames[0], generator.randbytes(length), port))
            sent += 1
print(sent)
