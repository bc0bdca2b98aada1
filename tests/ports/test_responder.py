"""The responder over real sockets: what the CA sees, and what a hostile client can do."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading

import pytest

from certmill.errors import InvalidManifest
from certmill.http01.responder import MAX_CONNECTIONS, MAX_LOOK_UPS, Responder
from certmill.testing.key_authorizations import MemoryKeyAuthorizations

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
KEY_AUTHORIZATION = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
WELL_KNOWN = "/.well-known/acme-challenge/"
PATH = f"{WELL_KNOWN}{TOKEN}"


@pytest.fixture
def store():
    return MemoryKeyAuthorizations({TOKEN: KEY_AUTHORIZATION})


@pytest.fixture
def responder(store):
    responder = Responder(store, "127.0.0.1", 0, timeout_seconds=1.0)
    responder.start()
    yield responder
    responder.stop()


def ask(responder, path, method="GET", headers=None, seconds=20):
    connection = http.client.HTTPConnection("127.0.0.1", responder.port, timeout=seconds)
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


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("example.com", "example.com"),
        ("example.com", "Example.COM."),
        ("www.example.net", "www.example.net:80"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example:8080"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "[2001:DB8:0::1]"),
        ("2001:db8::1", "[2001:db8::1]:80"),
    ],
)
def test_a_token_is_answered_under_its_own_host(responder, store, name, host):
    store.put("bound", "bound.thumbprint", host=name)

    status, body, headers = ask(responder, f"{WELL_KNOWN}bound", headers={"Host": host})

    assert (status, body) == (200, b"bound.thumbprint")
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "host", ["bank.example", "www.example.com", "com", "127.0.0.1:8089", "[::1]", "a b", ""]
)
def test_a_token_is_not_answered_under_another_host(responder, store, host):
    store.put("bound", "bound.thumbprint", host="example.com")

    for method in ("GET", "HEAD"):
        assert ask(responder, f"{WELL_KNOWN}bound", method=method, headers={"Host": host})[:2] == (421, b"")


@pytest.mark.parametrize(
    "request_line",
    [f"GET {'{path}'} HTTP/1.0", f"GET http://bank.example{'{path}'} HTTP/1.1\r\nHost: example.com"],
    ids=["no host", "absolute form"],
)
def test_a_request_that_names_another_host_in_any_form_has_no_token(responder, store, request_line):
    store.put("bound", "bound.thumbprint", host="example.com")

    request = request_line.format(path=f"{WELL_KNOWN}bound")
    assert send(responder, f"{request}\r\n\r\n".encode()).startswith(b"HTTP/1.1 421 ")


def test_two_host_fields_are_a_bad_request(responder, store):
    store.put("bound", "bound.thumbprint", host="example.com")

    request = f"GET {WELL_KNOWN}bound HTTP/1.1\r\nHost: example.com\r\nHost: bank.example\r\n\r\n"
    assert send(responder, request.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", ["example.com", "www.example.net:80", "[2001:db8::1]", "192.0.2.1"])
def test_a_token_of_an_older_release_is_answered_for_any_host(responder, host):
    """During a rolling upgrade, workers of the release before still put up tokens without a host."""
    assert ask(responder, PATH, headers={"Host": host})[:2] == (200, KEY_AUTHORIZATION.encode())


def test_under_a_shared_host_every_token_is_answered(store):
    store.put("bound", "bound.thumbprint", host="example.com")
    responder = Responder(store, "127.0.0.1", 0, shared=["ACME.example.net", "127.0.0.1"])
    responder.start()
    try:
        found = [
            ask(responder, f"{WELL_KNOWN}bound", headers={"Host": host})[0]
            for host in ("acme.example.net:80", "127.0.0.1", "b.test")
        ]
    finally:
        responder.stop()

    assert found == [200, 200, 421]


def test_the_answer_reports_nothing_about_the_software(responder):
    _, _, headers = ask(responder, PATH)

    assert "Server" not in headers
    assert "X-Powered-By" not in headers


def test_head_has_the_length_without_the_body(responder):
    status, body, headers = ask(responder, PATH, method="HEAD")

    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(KEY_AUTHORIZATION)))


def test_a_token_put_later_is_served_at_once_and_a_removed_one_is_not(responder, store):
    store.put("later", "later.thumbprint", host="127.0.0.1")
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
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_bad_request(responder, garbage):
    assert send(responder, garbage).startswith(b"HTTP/1.1 400 ")


def test_http_1_0_and_the_absolute_form_are_understood(responder):
    assert send(responder, f"GET http://example.com{PATH} HTTP/1.0\r\n\r\n".encode()).endswith(
        KEY_AUTHORIZATION.encode()
    )


def test_one_that_sends_its_head_byte_by_byte_is_cut(responder):
    """In ten seconds it would have sent 200 bytes; its time-out is one."""
    with (
        socket.create_connection(("127.0.0.1", responder.port), timeout=5) as loris,
        contextlib.suppress(ConnectionError),
    ):
        for _ in range(200):
            loris.sendall(b"X")
            if readable(loris, seconds=0.05):
                break
        assert readable(loris, seconds=0)
        assert loris.recv(1) == b""


def readable(connection, *, seconds):
    """Whether something came, or the end of it, in this time."""
    return bool(select.select([connection], [], [], seconds)[0])


@contextlib.contextmanager
def silent_connections(responder, number, source="127.0.0.1"):
    """So many connections from one address on which nothing is sent, or the first half of a head."""
    with contextlib.ExitStack() as stack:
        held = []
        for position in range(number):
            address = ("127.0.0.1", responder.port)
            held.append(
                stack.enter_context(socket.create_connection(address, timeout=5, source_address=(source, 0)))
            )
            if position % 2:
                held[-1].sendall(b"GET / HTTP/1.1\r\nHost: a")
        yield held


@pytest.fixture
def patient(store):
    """A responder that cuts nobody for being slow, for as long as a test takes."""
    responder = Responder(store, "127.0.0.1", 0, timeout_seconds=60)
    responder.start()
    yield responder
    responder.stop()


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_silent_connections_keep_nobody_out(patient, source):
    """Not even others of the same address: behind a proxy all requests come from one."""
    with silent_connections(patient, MAX_CONNECTIONS + 50, source=source) as held:
        answers = [ask(patient, PATH)[0] for _ in range(20)]

        assert answers == [200] * 20
        assert len(cut(held)) <= 50 + 20 + 1
        assert held[0] in cut(held)
        assert held[-1] not in cut(held)


def test_silent_connections_of_one_address_do_not_block_another(patient):
    with (
        silent_connections(patient, 5, source="127.0.0.2") as slow,
        silent_connections(patient, MAX_CONNECTIONS + 50),
    ):
        assert cut(slow) == []
        slow[0].sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert slow[0].recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_burst_from_one_address_is_answered_whole(patient):
    """What the CA asks of many names at once comes through one proxy."""
    with contextlib.ExitStack() as stack:
        burst = [
            stack.enter_context(socket.create_connection(("127.0.0.1", patient.port), timeout=30))
            for _ in range(400)
        ]
        for connection in burst:
            connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())

        assert {connection.recv(100)[:12] for connection in burst} == {b"HTTP/1.1 200"}


def test_look_ups_in_a_store_that_hangs_leave_room_for_the_health_check():
    released = threading.Event()

    class Hanging:
        def get(self, token):
            released.wait(60)

    responder = Responder(Hanging(), "127.0.0.1", 0, timeout_seconds=60)
    responder.start()
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(MAX_LOOK_UPS):
                waiting = stack.enter_context(
                    socket.create_connection(("127.0.0.1", responder.port), timeout=5)
                )
                waiting.sendall(f"GET {PATH} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())

            assert until_refused(responder) == 503
            assert ask(responder, "/healthz")[0] == 200
    finally:
        released.set()
        responder.stop()


def until_refused(responder):
    """The status of a request that the store is not asked for; those before it may still be on their way."""
    for _ in range(30):
        with contextlib.suppress(TimeoutError):
            return ask(responder, PATH, seconds=1.0)[0]
    return None


def cut(connections):
    """Those that the responder has closed."""
    found = []
    for connection in connections:
        connection.setblocking(False)
        try:
            if connection.recv(1) == b"":
                found.append(connection)
        except BlockingIOError:
            pass
        except ConnectionError:
            found.append(connection)
        finally:
            connection.settimeout(5)
    return found


def test_a_port_in_use_is_one_clear_line(responder):
    other = Responder(MemoryKeyAuthorizations(), "127.0.0.1", responder.port)

    with pytest.raises(
        InvalidManifest, match=r"^CERTMILL_RESPONDER_PORT: cannot listen on 127\.0\.0\.1 port \d+: "
    ):
        other.start()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("x" * 70, 0), ("a\0b", 0)])
def test_an_address_that_is_none_is_one_clear_line(host, port):
    with pytest.raises(InvalidManifest, match=r"^CERTMILL_RESPONDER_PORT: cannot listen on "):
        Responder(MemoryKeyAuthorizations(), host, port).start()


def test_serve_returns_when_it_is_stopped(store):
    responder = Responder(store, "127.0.0.1", 0)
    stop = threading.Event()
    serving = threading.Thread(target=responder.serve, args=(stop,))
    serving.start()

    stop.set()
    serving.join(30)

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
