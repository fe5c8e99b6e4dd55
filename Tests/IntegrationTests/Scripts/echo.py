"""Sends every size there and back.

serve PORT                      answers UDP datagrams and TCP messages of either family with what they hold, until SIGTERM
ask ADDRESS PORT LARGEST        UDP of every size from 0 to LARGEST, then TCP messages of the same sizes, each a segment of
                                its own where it fits; each must come back as it left
"""
import select, socket, struct, sys


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def serve(port):
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for one in (datagrams, listener):
        one.bind(("::", port))
    listener.listen()
    while True:
        for ready in select.select([datagrams, listener], [], [])[0]:
            if ready is datagrams:
                data, source = datagrams.recvfrom(65535)
                datagrams.sendto(data, source)
                continue
            connection = listener.accept()[0]
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while True:
                    head = exactly(connection, 2)
                    connection.sendall(head + exactly(connection, struct.unpack("!H", head)[0]))
            except EOFError:
                connection.close()


def pattern(size):
    return bytes((size + 7 * place) & 0xFF for place in range(size))


def ask(address, port, largest):
    family, _, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    datagrams.settimeout(3)
    datagrams.connect(target)
    if family == socket.AF_INET:
        # IP_MTU_DISCOVER, IP_PMTUDISC_DO: what does not fit is an error here, never a fragment.
        datagrams.setsockopt(socket.IPPROTO_IP, 10, 2)
    for size in range(largest + 1):
        datagrams.send(pattern(size))
        if datagrams.recv(65535) != pattern(size):
            sys.exit(f"UDP of {size} bytes came back changed")
    stream = socket.create_connection((address, port), timeout=3)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for size in range(largest + 1):
        stream.sendall(struct.pack("!H", size) + pattern(size))
        if exactly(stream, size + 2)[2:] != pattern(size):
            sys.exit(f"TCP of {size} bytes came back changed")


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
