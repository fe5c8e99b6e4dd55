"""Bad clients of a daemon. usage: clients.py ADMIN-SOCKET METRICS-ADDRESS METRICS-PORT malformed|busy|silent"""
import http.client
import signal
import socket
import sys
import threading

admin, host, port, mode = sys.argv[1:]


def connect(to):
    if to == "admin":
        connection = socket.socket(socket.AF_UNIX)
        # Until there is room in the queue; with a time limit it would not wait at all.
        connection.connect(admin)
        connection.settimeout(20)
        return connection
    return socket.create_connection((host, int(port)), timeout=20)


def ask(to, request):
    """Sends bytes, as far as they are taken, and returns the status of the answer; 0 for none."""
    with connect(to) as connection:
        try:
            connection.sendall(request)
        except OSError:
            pass
        answer = b""
        try:
            while b"\r\n" not in answer:
                received = connection.recv(4096)
                if not received:
                    break
                answer += received
        except ConnectionError:
            pass
        return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def post(path, body, *fields):
    fields = fields or (f"Content-Length: {len(body)}",)
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode() + "\r\n".join(fields).encode() + b"\r\n\r\n" + body


def malformed():
    chunked = "Transfer-Encoding: chunked"
    chunks = b"".join(b"1000\r\n" + bytes(0x1000) + b"\r\n" for _ in range(200))
    cases = [
        ("admin", 400, b"\x00\x01\x02\x03\r\n\r\n"),
        ("admin", 400, b"GET\r\n\r\n"),
        ("admin", 400, b"GET /v1/status HTTP/1.1\r\nno colon here\r\n\r\n"),
        ("admin", 400, b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"),
        ("admin", 400, b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(200)) + b"\r\n"),
        ("admin", 400, post("/v1/fdb/flush", b"", "Content-Length: -1")),
        ("admin", 400, post("/v1/fdb/flush", b"{")),
        ("admin", 400, post("/v1/fdb/flush", b"\xff\xfe")),
        ("admin", 400, post("/v1/fdb/flush", b'{"vni": "forty-two"}')),
        ("admin", 400, post("/v1/fdb/flush", b'{"vni": -1}')),
        ("admin", 400, post("/v1/rotate/identity", b"[]")),
        ("admin", 400, post("/v1/rotate/psk", b"{}")),
        ("admin", 400, post("/v1/fdb/flush", b"[" * 20_000)),
        ("admin", 409, post("/v1/fdb/flush", b'{"vni": 7}')),
        ("admin", 404, post("/v1/nothing", b"{}")),
        ("admin", 404, post("/../../etc/passwd", b"{}")),
        ("admin", 413, post("/v1/fdb/flush", b"", "Content-Length: 1000000000")),
        ("admin", 413, post("/v1/fdb/flush", bytes(1 << 20))),
        ("admin", 413, post("/v1/fdb/flush", chunks, chunked)),
        ("metrics", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("metrics", 400, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"),
        ("metrics", 404, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        ("metrics", 404, b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("metrics", 413, post("/metrics", b"", "Content-Length: 4096")),
        ("metrics", 200, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: \xff\xfe;q=nan, ,;\r\n\r\n"),
    ]
    for to, expected, request in cases:
        status = ask(to, request)
        assert status == expected, f"{status} instead of {expected} from {to}: {request[:60]!r}"
        assert ask(to, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") in (200, 404), f"{to} after {request[:60]!r}"


def busy():
    ending = threading.Event()
    counts = [0] * 50
    signal.signal(signal.SIGTERM, lambda *_: ending.set())

    def work(number):
        to = "admin" if number % 2 else "metrics"
        path = "/v1/status" if number % 2 else "/metrics"
        connection = http.client.HTTPConnection("x")
        connection.sock = connect(to)
        while not ending.is_set():
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            # A fifth scrape at once is sent away.
            assert answer.status == 200 or number % 2 == 0 and answer.status == 503, answer.status
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    while not all(counts) and all(thread.is_alive() for thread in threads):
        ending.wait(0.05)
    print("busy", flush=True)
    for thread in threads:
        thread.join()
    print(f"{sum(counts)} answers")
    assert all(counts)


def silent():
    connections = []
    for to in ["admin", "metrics"] * 100:
        connection = connect(to)
        connections.append(connection)
    print("connected", flush=True)
    signal.pause()


{"malformed": malformed, "busy": busy, "silent": silent}[mode]()
