"""Reads a pcapng file strictly and prints a line for each interface: name, packets in the file, and what its statistics say
was received and lost. usage: pcapng.py FILE"""
import struct
import sys

data = open(sys.argv[1], "rb").read()
place = 0
interfaces = []
statistics = {}


def options(body):
    found = {}
    while body:
        assert len(body) >= 4, "an option is cut"
        code, length = struct.unpack("<HH", body[:4])
        padded = 4 + (length + 3) // 4 * 4
        assert padded <= len(body), "an option reaches beyond its block"
        assert not any(body[4 + length : padded]), "padding that is not zero"
        if code == 0:
            assert length == 0 and len(body) == 4, "something stands behind the end of the options"
            return found
        assert code not in found, "an option stands twice"
        found[code] = body[4 : 4 + length]
        body = body[padded:]
    raise AssertionError("options without an end")


while place < len(data):
    assert len(data) - place >= 12, "the file ends within a block"
    kind, length = struct.unpack_from("<II", data, place)
    assert length % 4 == 0 and 12 <= length <= len(data) - place, "the file ends within a block"
    assert struct.unpack_from("<I", data, place + length - 4) == (length,), "the lengths of a block differ"
    body = data[place + 8 : place + length - 4]
    assert (kind == 0x0A0D0D0A) == (place == 0), "a file is one section"
    if place == 0:
        assert struct.unpack("<IHHq", body[:16]) == (0x1A2B3C4D, 1, 0, -1), "section header"
        assert options(body[16:])[4] == b"vxseal"
    elif kind == 1:
        found = options(body[8:])
        assert found[9] == b"\x09", "times in nanoseconds"
        interfaces.append([found[2].decode(), 0])
    elif kind == 6:
        number, high, low, kept, whole = struct.unpack("<IIIII", body[:20])
        assert number < len(interfaces), "a packet of no interface"
        assert kept <= whole and 0 < (high << 32 | low) < 1 << 62
        found = options(body[20 + (kept + 3) // 4 * 4 :])
        assert struct.unpack("<I", found[2])[0] in (1, 2), "a direction"
        assert b"direction=" in found[1]
        interfaces[number][1] += 1
    elif kind == 5:
        number = struct.unpack("<I", body[:4])[0]
        assert number < len(interfaces) and number not in statistics, "statistics, once for each interface"
        statistics[number] = options(body[12:])
    else:
        raise AssertionError("a block of type %d" % kind)
    place += length

assert len(statistics) == len(interfaces), "statistics at the end of every interface"
for number, (name, packets) in enumerate(interfaces):
    received, dropped, delivered = (struct.unpack("<Q", statistics[number][code])[0] for code in (4, 5, 8))
    assert delivered == packets and received == packets + dropped, "what is counted is in the file"
    print(name, packets, received, dropped)
