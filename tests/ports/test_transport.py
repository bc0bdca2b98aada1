"""One exchange over real sockets: whatever a server does with its bytes and addresses, the time-out is for
all of it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from certmill.errors import CAUnavailable
from certmill.http.transport import TlsTrust, Transport

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Speaks plain HTTP. A connection gets one of `answers` for each request, after a pause; then `trickle`
    now and then, for ever."""

    def __init__(self, answers, trickle=b"", pause=0.0) -> None:
        self.answers, self.trickle, self.pause = answers, trickle, pause
        self.connections = 0
        self.asked: list[bytes] = []
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._closing.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    self._serve(connection)

    def _serve(self, connection):
        for answer in self.answers:
            asked = connection.recv(65_536)
            if not asked:
                return
            self.asked.append(asked)
            self._closing.wait(self.pause)
            connection.sendall(answer)
        while self.trickle and not self._closing.wait(0.02):
            connection.sendall(self.trickle)


def transport(timeout_seconds=0.8):
    return Transport(trust=TlsTrust(), timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(
    ("answer", "trickle", "says"),
    [
        (b"", b"H", "did not answer within 0.8 s"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y", "did not answer within 0.8 s"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "did not answer within 0.8 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"y", "did not finish its answer within 0.8 s"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
            b"X: y\r\n",
            "did not finish its answer within 0.8 s",
        ),
    ],
    ids=["status", "header", "continue", "body", "trailer"],
)
def test_a_trickle_buys_a_server_no_time(answer, trickle, says):
    with Server([answer], trickle) as server:
        begun = time.monotonic()

        with pytest.raises(CAUnavailable, match=says):
            transport().request("GET", server.url)

    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "ends", [b"Connection: close\r\nContent-Length: 2\r\n\r\nok", b"\r\nok"], ids=["told", "by-the-end"]
)
def test_an_answer_that_ends_its_connection_is_read_whole(ends):
    with Server([b"HTTP/1.1 200 OK\r\n" + ends]) as server:
        assert transport().request("GET", server.url).body == b"ok"


def test_a_connection_is_kept_for_the_next_request_which_has_all_of_its_time_again():
    kept = transport(timeout_seconds=2.0)
    with Server([GOOD] * 3, pause=0.8) as server, contextlib.closing(kept):
        bodies = [kept.request("GET", server.url).body for _ in range(3)]

    assert bodies == [b"ok"] * 3
    assert server.connections == 1


@contextlib.contextmanager
def deaf():
    """A port that takes no connection: its queue is full."""
    with contextlib.ExitStack() as sockets:
        server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filling = sockets.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def named(monkeypatch, *addresses):
    """many.example has these addresses."""
    look_up = socket.getaddrinfo

    def answered(host, port, *arguments, **options):
        if host != "many.example":
            return look_up(host, port, *arguments, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answered)


def test_a_name_with_many_addresses_that_say_nothing_has_one_time_out_for_all(monkeypatch):
    named(monkeypatch, *["127.0.0.1"] * 20)
    with deaf() as port:
        begun = time.monotonic()

        with pytest.raises(CAUnavailable, match=r"many\.example accepts no connection within 0\.8 s"):
            transport().request("GET", f"http://many.example:{port}/")

    assert time.monotonic() - begun < 5


def test_the_next_address_of_a_name_is_tried_when_one_refuses(monkeypatch):
    named(monkeypatch, "127.0.0.2", "127.0.0.1")
    with Server([GOOD]) as server:
        assert transport(2.0).request("GET", server.url.replace("127.0.0.1", "many.example")).status == 200


def test_a_name_that_refuses_everywhere_is_reported_so(monkeypatch):
    named(monkeypatch, "127.0.0.2", "127.0.0.3")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(
        CAUnavailable, match=r"many\.example cannot be connected to on port \d+ \(connection refused\)"
    ):
        transport(2.0).request("GET", f"http://many.example:{port}/")


def test_nothing_of_the_workers_environment_is_sent_to_a_server_a_tenant_chose(tmp_path, monkeypatch):
    """Neither logins of a netrc, which `requests` would send, nor what cloud libraries take from the
    environment."""
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login worker password of-the-worker\ndefault login worker password of-the-worker\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    surroundings = {
        "HOME": str(tmp_path),
        "NETRC": str(tmp_path / ".netrc"),
        "AWS_ACCESS_KEY_ID": "of-the-worker",
        "AWS_SECRET_ACCESS_KEY": "of-the-worker",
        "AWS_SESSION_TOKEN": "of-the-worker",
    }
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)

    with Server([GOOD]) as server:
        transport(timeout_seconds=5).request("GET", server.url)

    (asked,) = server.asked
    assert b"GET / HTTP/1.1" in asked
    assert b"authorization" not in asked.lower()
    assert b"worker" not in asked
