"""The admin port itself: bounded, whatever is sent to it."""

from __future__ import annotations

import gzip
import select
import socket
import threading
import time
import urllib.request

import pytest

from compose.servers.ports import free_port
from workers.admin import server as admin
from workers.admin.server import MAX_CONNECTIONS, AdminServer, Page


@pytest.fixture
def server():
    gate = threading.Event()

    def gated():
        gate.wait(30)
        yield "at last\n"

    pages = {
        "/livez": lambda: Page(text="ok\n"),
        "/gated": lambda: Page(stream=gated()),
        "/metrics": lambda: Page(stream=(f"line {number}\n" for number in range(100_000))),
        "/broken": lambda: 1 / 0,
    }
    running = AdminServer("127.0.0.1", free_port(), pages)
    running.gate = gate
    assert running.start()
    yield running
    gate.set()
    running.stop()


def ask(server, head, *, read=True):
    """What is answered to these bytes."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(head)
    if not read:
        return connection
    with connection:
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def status(answer):
    return int(answer.split(b" ")[1]) if answer else 0


@pytest.mark.parametrize(
    ("head", "answered"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /livez?x HTTP/1.0\r\n\r\n", 200),
        (b"POST /livez HTTP/1.1\r\n\r\n", 405),
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET /livez HTTP/2\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\xff\xfe \x00\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 0),
        (b"GET /broken HTTP/1.1\r\n\r\n", 0),
    ],
)
def test_a_request_gets_its_answer_or_none(server, head, answered):
    try:
        assert status(ask(server, head)) == answered
    except ConnectionResetError:
        assert answered == 0
    assert status(ask(server, b"GET /livez HTTP/1.1\r\n\r\n")) == 200


def test_silent_connections_do_not_keep_a_probe_from_its_answer(server):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5 * MAX_CONNECTIONS)]

    assert status(ask(server, b"GET /livez HTTP/1.1\r\n\r\n")) == 200

    for connection in silent:
        connection.close()


def test_a_burst_of_connections_is_taken_without_a_second_try(server):
    """The kernel sends what it dropped again after a second: a probe would have given up by then."""
    burst = [socket.socket() for _ in range(8 * MAX_CONNECTIONS)]
    for connection in burst:
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", server.port))
    waiting, began, now = list(burst), time.monotonic(), 0.0
    while waiting and now - began < 0.7:
        now = time.monotonic()  # before the look: this process itself may have stood still
        done = set(select.select([], waiting, [], 0.05)[1])
        waiting = [connection for connection in waiting if connection not in done]

    assert len(waiting) == 0
    for connection in burst:
        connection.close()


def test_a_head_that_comes_a_byte_at_a_time_is_given_up(server, monkeypatch):
    monkeypatch.setattr(admin, "HEAD_SECONDS", 0.3)
    with ask(server, b"GET /livez", read=False) as connection:
        connection.settimeout(10)
        assert connection.recv(10) == b""


def test_more_than_two_scrapes_at_once_are_refused(server):
    reading = [ask(server, b"GET /gated HTTP/1.1\r\n\r\n", read=False) for _ in range(2)]
    for connection in reading:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"

    assert status(ask(server, b"GET /metrics HTTP/1.1\r\n\r\n")) == 503
    assert status(ask(server, b"GET /livez HTTP/1.1\r\n\r\n")) == 200

    server.gate.set()
    for connection in reading:
        with connection:
            while connection.recv(65536):
                pass
    assert status(ask(server, b"GET /metrics HTTP/1.1\r\n\r\n")) == 200


@pytest.mark.parametrize("wanted", ["gzip", "identity"])
def test_a_long_page_comes_whole_and_compressed_if_that_is_wanted(server, wanted):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/metrics", headers={"Accept-Encoding": wanted}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        body = answer.read()
        assert answer.headers.get("Content-Encoding", "identity") == wanted

    text = gzip.decompress(body) if wanted == "gzip" else body
    assert text.decode() == "".join(f"line {number}\n" for number in range(100_000))


def test_a_port_that_is_taken_is_passed_over(server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        second = AdminServer("127.0.0.1", taken.getsockname()[1], {})

        assert second.start()
        assert second.port > taken.getsockname()[1]
        second.stop()


def test_an_address_that_is_not_ours_is_reported_and_ends_nothing():
    assert not AdminServer("192.0.2.1", 9402, {}).start()
