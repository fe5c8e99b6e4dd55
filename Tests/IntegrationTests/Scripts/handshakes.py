"""Sends initiations with a right mac1 and nothing else that is right (protocol.md, 3), so that whoever gets many of them answers
with cookies. usage: handshakes.py ADDRESS PORT PUBLIC-KEY-BASE64 COUNT"""
import base64
import hashlib
import os
import socket
import sys

address, port, key, count = sys.argv[1], int(sys.argv[2]), base64.b64decode(sys.argv[3]), int(sys.argv[4])
mac_key = hashlib.blake2b(b"vxseal mac1" + key, digest_size=32).digest()
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(count):
    message = b"\x01\x00\x00\x00" + os.urandom(1316)
    mac1 = hashlib.blake2b(message, key=mac_key, digest_size=16).digest()
    sender.sendto(message + mac1 + bytes(16), (address, port))
