"""The self check over real sockets: what a well, ill or hostile web server makes of it."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from certmill.clock import SystemClock
from certmill.dns01.resolver import Resolver
from certmill.http01.fetch import MAX_BODY_BYTES
from certmill.http01.responder import Responder
from certmill.http01.selfcheck import Probe, probe
from certmill.runtime.self_checks import SelfChecks
from certmill.settings import Settings
from certmill.testing.key_authorizations import MemoryKeyAuthorizations
from certmill.testing.nameserver import Behaviour, FakeNameserver

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
KEY_AUTHORIZATION = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PATH = f"/.well-known/acme-challenge/{TOKEN}"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (
    len(KEY_AUTHORIZATION),
    KEY_AUTHORIZATION.encode(),
)


class Origin(socketserver.ThreadingTCPServer):
    """A web server that answers each path with the bytes it was told, sees the heads, and can trickle or
    hang."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.answers: dict[str, bytes] = {}
        self.heads: list[str] = []
        self.hang = threading.Event()
        self.context = context

    @property
    def port(self):
        return self.server_address[1]

    def finish_request(self, request, client_address):
        with contextlib.suppress(OSError):
            stream = self.context.wrap_socket(request, server_side=True) if self.context else request
            head = b""
            while b"\r\n\r\n" not in head and (chunk := stream.recv(4096)):
                head += chunk
            if not head.endswith(b"\r\n\r\n"):  # a TLS greeting, or nothing
                return
            self.heads.append(head.decode())
            self.answer(
                stream,
                self.answers.get(
                    head.split(b" ")[1].decode(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                ),
            )

    def answer(self, stream, answer):
        if answer == b"hang":
            self.hang.wait(10)
        elif answer == b"trickle":
            stream.sendall(b"HTTP/1.1 200 OK\r\n")
            while not self.hang.wait(0.05):
                stream.sendall(b"X: y\r\n")
        else:
            stream.sendall(answer)
            stream.close() if self.context else stream.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def running(origin):
    thread = threading.Thread(target=origin.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield origin
    finally:
        origin.hang.set()
        origin.shutdown()
        origin.server_close()
        thread.join()


@pytest.fixture
def origin():
    with running(Origin()) as origin:
        yield origin


def loopback(host, *, within_seconds):
    return ("127.0.0.1",)


def check(origin, answer=None, **options):
    if answer is not None:
        origin.answers[PATH] = answer
    return probe(
        "example.com", TOKEN, KEY_AUTHORIZATION, **{"addresses": loopback, "port": origin.port, **options}
    )


def test_our_own_responder_passes():
    store = MemoryKeyAuthorizations()
    store.put(TOKEN, KEY_AUTHORIZATION, host="example.com")
    responder = Responder(store, "127.0.0.1", 0)
    responder.start()
    try:
        found = probe("example.com", TOKEN, KEY_AUTHORIZATION, addresses=loopback, port=responder.port)
    finally:
        responder.stop()

    assert found == Probe(ok=True, reason="example.com answered with the key authorization")


def test_a_proxy_that_sends_another_host_is_reported_with_what_to_do():
    store = MemoryKeyAuthorizations()
    store.put(TOKEN, KEY_AUTHORIZATION, host="other.example")
    responder = Responder(store, "127.0.0.1", 0)
    responder.start()
    try:
        found = probe("example.com", TOKEN, KEY_AUTHORIZATION, addresses=loopback, port=responder.port)
    finally:
        responder.stop()

    hint = "its proxy sends another Host to the responder than the name (docs/http01.md)"
    assert found == Probe(ok=False, reason=f"example.com answered 421, not the key authorization: {hint}")


def test_it_asks_as_a_ca_asks(origin):
    check(origin, GOOD)

    assert origin.heads[0].startswith(f"GET {PATH} HTTP/1.1\r\nHost: example.com:{origin.port}\r\n")


def test_an_address_is_asked_without_a_lookup(origin):
    origin.answers[PATH] = GOOD

    found = probe(
        "127.0.0.1",
        TOKEN,
        KEY_AUTHORIZATION,
        addresses=lambda host, **_: pytest.fail("looked up"),
        port=origin.port,
    )

    assert found == Probe(ok=True, reason="127.0.0.1 answered with the key authorization")


@pytest.mark.parametrize("body", [KEY_AUTHORIZATION + "\n", KEY_AUTHORIZATION + " \r\n\t"])
def test_white_space_at_the_end_is_ignored(origin, body):
    assert check(origin, f"HTTP/1.1 200 OK\r\n\r\n{body}".encode()).ok


def test_a_chunked_body_is_understood(origin):
    head, tail = KEY_AUTHORIZATION[:10], KEY_AUTHORIZATION[10:]
    chunks = f"{len(head):x}\r\n{head}\r\n{len(tail):x}\r\n{tail}\r\n0\r\n\r\n"

    assert check(origin, f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}".encode()).ok


@pytest.mark.parametrize("status", [200, 403, 404, 500, 503])
def test_another_answer_is_reported_by_its_status_alone(origin, status):
    found = check(
        origin,
        f"HTTP/1.1 {status} internal-detail\r\nX-Secret: internal-detail\r\n\r\ninternal-detail".encode(),
    )

    assert found == Probe(ok=False, reason=f"example.com answered {status}, not the key authorization")


@pytest.mark.parametrize(
    "body",
    [
        " " + KEY_AUTHORIZATION,
        KEY_AUTHORIZATION + "x",
        KEY_AUTHORIZATION + " x",
        "",
        KEY_AUTHORIZATION.swapcase(),
    ],
)
def test_nearly_the_key_authorization_is_not_it(origin, body):
    assert (
        check(origin, f"HTTP/1.1 200 OK\r\n\r\n{body}".encode()).reason
        == "example.com answered 200, not the key authorization"
    )


def test_a_body_without_end_is_read_to_the_cap_only(origin):
    found = check(
        origin, b"HTTP/1.1 200 OK\r\n\r\n" + KEY_AUTHORIZATION.encode() + b" " * (MAX_BODY_BYTES * 20)
    )

    assert found == Probe(ok=False, reason="example.com answered 200, not the key authorization")


def test_fields_without_end_are_no_http(origin):
    found = check(origin, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)

    assert found.reason == "example.com did not answer in HTTP"


def test_what_is_not_http_is_said_to_be_not(origin):
    assert check(origin, b"SSH-2.0-OpenSSH_9.6\r\n").reason == "example.com did not answer in HTTP"


@pytest.mark.parametrize("size", [b"-5", b"zz", b"f" * 5000], ids=["negative", "no number", "large"])
def test_a_chunk_of_an_impossible_size_is_no_http(origin, size):
    found = check(origin, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabc")

    assert not found.ok


def test_a_cut_connection_is_said_to_be_cut(origin):
    assert check(origin, b"").reason == "example.com could not be reached: the connection was cut"


def test_nobody_there_is_connection_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    found = probe("example.com", TOKEN, KEY_AUTHORIZATION, addresses=loopback, port=port)

    assert found == Probe(
        ok=False, reason=f"example.com could not be reached on port {port}: connection refused"
    )


@pytest.mark.parametrize("answer", [b"hang", b"trickle"])
def test_the_time_is_one_deadline_for_everything(origin, answer):
    begun = time.monotonic()

    found = check(origin, answer, timeout_seconds=0.4)

    assert found.reason == "example.com could not be reached: time-out"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("dead", [1, 2])
def test_resolvers_that_are_dead_do_not_outlast_the_time(dead):
    with contextlib.ExitStack() as servers:
        resolver = Resolver(
            [servers.enter_context(FakeNameserver(behaviour=Behaviour.SILENT)).address for _ in range(dead)]
        )
        begun = time.monotonic()

        found = probe(
            "example.com", TOKEN, KEY_AUTHORIZATION, addresses=resolver.find_addresses, timeout_seconds=0.4
        )

    assert "could not be looked up" in found.reason
    assert time.monotonic() - begun < 4


def test_a_resolver_that_says_nothing_to_aaaa_leaves_time_for_the_request(origin):
    class NoAaaa(FakeNameserver):
        def answer(self, wire, *, udp):
            return None if b"\x00\x1c\x00\x01" in wire else super().answer(wire, udp=udp)

    with NoAaaa(records={"example.com": {"A": ["127.0.0.1"]}}) as server:
        found = check(origin, GOOD, addresses=Resolver([server.address]).find_addresses, timeout_seconds=2.0)

    assert found.ok


def test_the_next_address_is_tried_when_one_refuses(origin):
    found = check(origin, GOOD, addresses=lambda host, **_: ("127.0.0.1", "::1"))

    assert found.ok


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_to_another_host(origin, status):
    origin.answers["/elsewhere"] = GOOD

    found = check(
        origin,
        f"HTTP/1.1 {status} Moved\r\nLocation: http://www.example.net:{origin.port}/elsewhere\r\n\r\n".encode(),
    )

    assert found == Probe(ok=True, reason="example.com redirects to the key authorization")
    assert f"Host: www.example.net:{origin.port}" in origin.heads[1]


def hops(origin, count):
    for hop in range(count):
        here = PATH if hop == 0 else f"/{hop}"
        origin.answers[here] = f"HTTP/1.1 302 Found\r\nLocation: /{hop + 1}\r\n\r\n".encode()
    origin.answers[f"/{count}"] = GOOD


def test_ten_redirects_are_followed(origin):
    hops(origin, 10)

    assert check(origin).ok


def test_an_eleventh_redirect_is_not(origin):
    hops(origin, 11)

    found = check(origin)

    assert not found.ok
    assert len(origin.heads) == 11


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/internal",
        "file:///internal",
        "http://internal.example:{port}/internal",
        "https://internal.example:{port}/internal",
        "https://.internal:{port}/internal",
        "//[",
        "/hang",
    ],
)
def test_a_redirect_that_fails_reports_nothing_of_where_it_led(origin, location):
    origin.answers["/hang"] = b"hang"

    found = check(
        origin,
        f"HTTP/1.1 302 Found\r\nLocation: {location.format(port=origin.port)}\r\n\r\n".encode(),
        timeout_seconds=1.5,
    )

    assert found == Probe(
        ok=False, reason="example.com answered with a redirect that does not lead to the key authorization"
    )


@pytest.fixture(scope="module")
def untrusted():
    """A server context whose certificate has expired, is for another name, and is from an unknown CA."""
    expired = trustme.CA().issue_cert("other.invalid", not_after=datetime.now(UTC) - timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.configure_cert(context)
    return context


def test_a_redirect_to_https_is_followed_without_verifying(origin, untrusted):
    with running(Origin(untrusted)) as secure:
        secure.answers["/secure"] = GOOD
        moved = f"HTTP/1.1 301 Moved\r\nLocation: https://example.com:{secure.port}/secure\r\n\r\n".encode()

        assert check(origin, moved, tls_port=secure.port).ok
        assert not check(origin, moved).ok


def test_the_checks_of_a_process_say_that_a_name_has_no_address():
    with FakeNameserver(
        records={"example.com": {"SOA": ["ns1.example.com. h.example.com. 1 2 3 4 5"]}}
    ) as server:
        checks = SelfChecks(Settings(recursive_nameservers=(server.address,)), SystemClock())

        found = checks.probe("nowhere.example.com", TOKEN, KEY_AUTHORIZATION, timeout_seconds=10.0)

    assert found.reason == "nowhere.example.com has no address in DNS: add an A or AAAA record for this name"
