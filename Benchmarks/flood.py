"""Sends initiations with a right mac1 from spoofed sources: 100,000 a second, or what one core can.

usage: flood.py DEVICE MAC ADDRESS PUBLIC-KEY DELAY SECONDS [PER-SECOND]
"""
import base64
import hashlib
import os
import socket
import struct
import sys
import time

device, mac, address, key, delay, seconds = sys.argv[1:7]
per_second = int(sys.argv[7]) if len(sys.argv) > 7 else 100_000
mac1_key = hashlib.blake2b(b"vxseal mac1" + base64.b64decode(key), digest_size=32).digest()


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet():
    body = b"\x01\0\0\0" + os.urandom(1316)
    body += hashlib.blake2b(body, digest_size=16, key=mac1_key).digest() + bytes(16)
    udp = struct.pack("!HHHH", 47890, 47890, 8 + len(body), 0) + body
    source = b"\xc6" + bytes([18 + os.urandom(1)[0] % 2]) + os.urandom(2)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + socket.inet_aton(address)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    ethernet = bytes.fromhex(mac.replace(":", "")) + b"\x02\0\0\0\0\x99\x08\0"
    return ethernet + header + udp


packets = [packet() for _ in range(8192)]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((device, 0))
time.sleep(float(delay))
print("started", flush=True)
end = time.monotonic() + float(seconds)
sent = 0
start = time.monotonic()
while time.monotonic() < end:
    for one in packets[sent % 8192:sent % 8192 + 64]:
        try:
            wire.send(one)
        except OSError:
            pass
    sent += 64
    time.sleep(max(0, start + sent / per_second - time.monotonic()))
print(f"sent {int(sent / (time.monotonic() - start))}", flush=True)
