"""Sends one forged frame: forge.py DEVICE KIND TAGS."""
import socket
import struct
import sys

device, kind, tags = sys.argv[1], sys.argv[2], int(sys.argv[3])
own, foreign = bytes.fromhex("020000000002"), bytes.fromhex("020000000099")
everybody = b"\xff" * 6


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ipv4(source, ports, payload):
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                       socket.inet_aton(source), b"\xff" * 4)
    return 0x0800, head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def ipv6(source, number, body, field):
    source, target = socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, "ff02::1")
    sum_ = checksum(source + target + struct.pack("!II", len(body), number) + body)
    body = body[:field] + struct.pack("!H", sum_) + body[field + 2:]
    return 0x86DD, struct.pack("!IHBB", 0x60000000, len(body), number, 255) + source + target + body


def neighbor(message):
    return ipv6("fe80::ff:fe00:2", 58, message, 2)


frames = {
    "mac": (0x88B5, b"payload"),
    "ipv4": ipv4("10.98.0.3", (5, 6), b"payload"),
    "ipv6": ipv6("fd98::3", 58, struct.pack("!BBHHH", 128, 0, 0, 1, 1), 2),
    "arp": (0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, own, socket.inet_aton("10.98.0.1"),
                                everybody, socket.inet_aton("10.98.0.1"))),
    "advertisement": neighbor(struct.pack("!BBHI", 136, 0, 0, 0x20000000)
                              + socket.inet_pton(socket.AF_INET6, "fd98::1") + b"\x02\x01" + own),
    "router": neighbor(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)),
    "dhcp": ipv4("10.98.0.2", (67, 68), b"\x02" + b"\0" * 240),
    "dhcp6": ipv6("fe80::ff:fe00:2", 17, struct.pack("!HHHH", 547, 546, 12, 0) + b"\x02\0\0\0", 6),
}
number, payload = frames[kind]
marks = [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x09\x81\x00\x00\x05"][tags]
packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packet.bind((device, 0))
packet.send(everybody + (foreign if kind == "mac" else own) + marks + struct.pack("!H", number) + payload)
