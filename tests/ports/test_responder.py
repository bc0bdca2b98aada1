"""The responder over real sockets: what the CA sees, and what a hostile client can do."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from certmill.errors import InvalidManifest
from certmill.http01.responder import MAX_CONNECTIONS, Responder
from certmill.testing.key_authorizations import MemoryKeyAuthorizations

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
KEY_AUTHORIZATION = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PATH = f"/.well-known/acme-challenge/{TOKEN}"


@pytest.fixture
def store():
    return MemoryKeyAuthorizations({TOKEN: KEY_AUTHORIZATION})


@pytest.fixture
def responder(store):
    responder = Responder(store, "127.0.0.1", 0, timeout_seconds=1.0)
    responder.start()
    yield responder
    responder.stop()


def ask(responder, path, method="GET", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", responder.port, timeout=5)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def send(responder, data):
    """The whole answer to raw bytes; empty when the connection is cut."""
    with socket.create_connection(("127.0.0.1", responder.port), timeout=5) as connection:
        received = b""
        try:
            connection.sendall(data)
            while chunk := connection.recv(4096):
                received += chunk
        except ConnectionError:
            pass
        return received


@pytest.mark.parametrize("host", ["example.com", "www.example.net:80", "[2001:db8::1]", "192.0.2.1"])
def test_a_known_token_is_answered_for_any_host(responder, host):
    status, body, headers = ask(responder, PATH, headers={"Host": host})

    assert (status, body) == (200, KEY_AUTHORIZATION.encode())
    assert headers["Content-Type"] == "application/octet-stream"


def test_the_answer_tells_nothing_about_the_software(responder):
    _, _, headers = ask(responder, PATH)

    assert "Server" not in headers
    assert "X-Powered-By" not in headers


def test_head_has_the_length_without_the_body(responder):
    status, body, headers = ask(responder, PATH, method="HEAD")

    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(KEY_AUTHORIZATION)))


def test_a_token_put_later_is_served_at_once_and_a_removed_one_is_not(responder, store):
    store.put("later", "later.thumbprint")
    assert ask(responder, "/.well-known/acme-challenge/later")[:2] == (200, b"later.thumbprint")

    store.remove("later")
    assert ask(responder, "/.well-known/acme-challenge/later")[:2] == (404, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge",
        f"/.well-known/acme-challenge/{'a' * 129}",
        "/.well-known/acme-challenge/../healthz",
        "/.well-known/acme-challenge/%2e%2e",
        f"{PATH}/",
        f"/x{PATH}",
        "/.well-known/acme-challenge//healthz",
        TOKEN,
    ],
)
def test_anything_else_is_not_found_and_never_reaches_the_store(responder, store, path):
    status, body, _ = ask(responder, path)

    assert (status, body) == (404, b"")
    assert store.asked == []


def test_an_unknown_token_is_not_found(responder, store):
    assert ask(responder, "/.well-known/acme-challenge/unknown")[:2] == (404, b"")
    assert store.asked == ["unknown"]


def test_only_get_and_head_are_allowed(responder):
    status, _, headers = ask(responder, PATH, method="POST")

    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_store_that_is_away_is_a_503_and_serving_goes_on(responder, store):
    store.away = True
    status, body, headers = ask(responder, PATH)
    assert (status, body, headers["Retry-After"]) == (503, b"", "1")

    store.away = False
    assert ask(responder, PATH)[0] == 200


def test_health_does_not_need_the_store(responder, store):
    store.away = True

    assert ask(responder, "/healthz")[:2] == (200, b"ok\n")


def test_a_store_that_hangs_is_a_503():
    released = threading.Event()

    class Hanging:
        def get(self, token):
            released.wait(30)

    responder = Responder(Hanging(), "127.0.0.1", 0, timeout_seconds=0.5)
    responder.start()
    try:
        assert ask(responder, PATH)[0] == 503
        assert ask(responder, "/healthz")[0] == 200
    finally:
        released.set()
        responder.stop()


def test_a_slow_loris_is_cut_while_others_are_served(responder):
    with socket.create_connection(("127.0.0.1", responder.port), timeout=5) as loris:
        loris.sendall(b"GET / HTTP/1.1\r\nX-A: ")

        assert ask(responder, PATH)[0] == 200
        assert loris.recv(10) == b""


def test_a_head_that_is_too_large_is_refused(responder):
    answer = send(responder, b"GET / HTTP/1.1\r\n" + b"X-Filler: " + b"a" * 20_000 + b"\r\n\r\n")

    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"\r\n\r\n", b"GET /a b HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_http_is_a_bad_request(responder, garbage):
    assert send(responder, garbage).startswith(b"HTTP/1.1 400 ")


def test_http_1_0_and_the_absolute_form_are_understood(responder):
    assert send(responder, f"GET http://example.com{PATH} HTTP/1.0\r\n\r\n".encode()).endswith(KEY_AUTHORIZATION.encode())


def test_idle_connections_beyond_the_cap_are_cut_and_serving_goes_on():
    responder = Responder(MemoryKeyAuthorizations({TOKEN: KEY_AUTHORIZATION}), "127.0.0.1", 0, timeout_seconds=5)
    responder.start()
    held = [socket.create_connection(("127.0.0.1", responder.port), timeout=5) for _ in range(MAX_CONNECTIONS)]
    try:
        assert send(responder, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        held.pop().close()
        assert until_answered(responder) == 200
    finally:
        for connection in held:
            connection.close()
        responder.stop()


def until_answered(responder):
    for _ in range(50):
        try:
            return ask(responder, "/healthz")[0]
        except (ConnectionError, http.client.HTTPException):
            continue
    return None


def test_a_port_in_use_is_one_clear_line(responder):
    other = Responder(MemoryKeyAuthorizations(), "127.0.0.1", responder.port)

    with pytest.raises(InvalidManifest, match=r"^CERTMILL_RESPONDER_PORT: cannot listen on 127\.0\.0\.1 port \d+: "):
        other.start()


def test_serve_returns_when_told_to_stop(store):
    responder = Responder(store, "127.0.0.1", 0)
    stop = threading.Event()
    serving = threading.Thread(target=responder.serve, args=(stop,))
    serving.start()

    stop.set()
    serving.join(5)

    assert not serving.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", responder.port), timeout=5)


def test_stopping_cuts_what_is_open_and_may_be_repeated(responder):
    with socket.create_connection(("127.0.0.1", responder.port), timeout=5) as idle:
        idle.sendall(b"GET /")
        assert ask(responder, PATH)[0] == 200

        responder.stop()
        responder.stop()

        assert idle.recv(10) == b""
