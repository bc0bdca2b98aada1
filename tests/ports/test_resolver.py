"""Looking things up for real: zones on BIND, CNAMEs and troubled resolvers on the fake, DNS over HTTPS on a
local server."""

from __future__ import annotations

import re
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from certmill.clock import SystemClock
from certmill.dns01.propagation import is_visible
from certmill.dns01.resolver import Resolver
from certmill.dns01.zone_servers import ZoneServers
from certmill.dns01.zones import Zones
from certmill.errors import DnsUnavailable, NameRefused
from certmill.http.transport import TlsTrust
from certmill.testing.localhost import make_local_tls
from certmill.testing.nameserver import Behaviour, FakeNameserver
from compose.servers.bind import Bind
from compose.servers.ports import free_port

RECORDS = {
    "example.test": {
        "SOA": ["ns1.example.test. h.example.test. 1 2 3 4 5"],
        "A": ["192.0.2.1"],
        "AAAA": ["2001:db8::1"],
    },
    "alias.example.test": {"CNAME": ["example.test."]},
    "_acme-challenge.example.test": {"CNAME": ["here.alias.test."]},
    "here.alias.test": {"CNAME": ["there.alias.test."]},
    "loop.example.test": {"CNAME": ["pool.example.test."]},
    "pool.example.test": {"CNAME": ["loop.example.test."]},
    "four.example.test": {"A": ["192.0.2.4"]},
}


@pytest.fixture
def server():
    with FakeNameserver(records=RECORDS) as server:
        yield server


def zones(*servers, timeout_seconds=1.0):
    return Zones(Resolver(servers, timeout_seconds=timeout_seconds), SystemClock())


def test_the_zones_of_a_real_server(tmp_path):
    with Bind(directory=tmp_path, zones=("example.test", "dev.example.test")) as bind:
        found = zones(bind.address)

        assert found.zone_of("_acme-challenge.example.test") == "example.test"
        assert found.zone_of("_acme-challenge.www.example.test") == "example.test"
        assert found.zone_of("_acme-challenge.a.b.dev.example.test") == "dev.example.test"
        assert found.follow_cnames("_acme-challenge.www.example.test") == "_acme-challenge.www.example.test"


@pytest.mark.parametrize(
    "behaviour", [Behaviour.NORMAL, Behaviour.NS_FIRST, Behaviour.TRUNCATED, Behaviour.SLOW]
)
def test_an_odd_answer_is_an_answer(server, behaviour):
    server.behaviour = behaviour
    found = zones(server.address, timeout_seconds=5.0)

    assert [found.zone_of("www.example.test") for _ in range(2)] == ["example.test"] * 2
    assert found.follow_cnames("_acme-challenge.example.test") == "there.alias.test"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.SERVFAIL, "answered SERVFAIL"),
        (Behaviour.LAME, "answered REFUSED"),
        (Behaviour.SILENT, "did not answer"),
        (Behaviour.WRONG_ID, "did not answer"),
    ],
)
def test_a_resolver_in_trouble_is_temporary_and_reported_in_stable_words(server, behaviour, reason):
    server.behaviour = behaviour
    told = rf"the resolver 127\.0\.0\.1 {reason}; check that .* CERTMILL_RECURSIVE_NAMESERVERS"

    with pytest.raises(DnsUnavailable, match=rf"^looking up SOA of www\.example\.test: {told}"):
        zones(server.address).zone_of("www.example.test")
    with pytest.raises(DnsUnavailable, match=rf"^looking up CNAME of www\.example\.test: {told}"):
        zones(server.address).follow_cnames("www.example.test")


def test_a_loop_of_cnames_is_refused(server):
    with pytest.raises(NameRefused, match="lead back to"):
        zones(server.address).follow_cnames("loop.example.test")


@pytest.mark.parametrize("behaviour", [Behaviour.SERVFAIL, Behaviour.SILENT])
def test_the_next_server_is_asked_when_one_is_in_trouble(server, behaviour):
    with FakeNameserver(behaviour=behaviour) as troubled:
        answer = Resolver([troubled.address, server.address], timeout_seconds=2.0).find_addresses(
            "four.example.test"
        )

    assert answer == ["192.0.2.4"]
    assert ("four.example.test", "A") in troubled.asked


def test_a_server_that_is_not_there_is_temporary():
    with pytest.raises(
        DnsUnavailable, match=r"the resolver 127\.0\.0\.1 (did not answer|cannot be reached); "
    ):
        Resolver([f"127.0.0.1:{free_port()}"], timeout_seconds=0.3).find_addresses("example.test")


def test_the_time_for_all_servers_is_shared_among_them():
    with FakeNameserver(behaviour=Behaviour.SILENT) as one, FakeNameserver(behaviour=Behaviour.SILENT) as two:
        begun = time.monotonic()
        with pytest.raises(DnsUnavailable):
            Resolver([one.address, two.address]).ask("example.test", "SOA", within_seconds=1.0)

    assert len(one.asked) == len(two.asked) == 1
    assert time.monotonic() - begun < 5


def test_addresses_are_of_both_families_and_through_cnames(server):
    resolver = Resolver([server.address])

    assert resolver.find_addresses("example.test") == ["192.0.2.1", "2001:db8::1"]
    assert resolver.find_addresses("alias.example.test") == ["192.0.2.1", "2001:db8::1"]
    assert resolver.find_addresses("nowhere.test") == []


def test_a_name_that_does_not_exist_has_no_address_whatever_aaaa_is_answered():
    with NoAaaa(records=RECORDS) as server:
        assert Resolver([server.address]).find_addresses("nowhere.test") == []
        assert [type_ for _, type_ in server.asked] == ["A"]


class NoAaaa(FakeNameserver):
    """Answers AAAA questions with SERVFAIL, as some load balancers do."""

    def answer(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.behaviour = Behaviour.SERVFAIL if b"\x00\x1c\x00\x01" in wire else Behaviour.NORMAL
        return super().answer(wire, udp=udp)


def test_an_error_for_aaaa_does_not_hide_the_ipv4_address():
    with NoAaaa(records=RECORDS) as server:
        assert Resolver([server.address]).find_addresses("example.test") == ["192.0.2.1"]


class Quiet(ThreadingHTTPServer):
    """Clients hang up here as a matter of course."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Doh:
    """A DNS-over-HTTPS server in front of a FakeNameserver; `status`, `body` and `pause` make it odd."""

    def __init__(self, behind, tls, directory) -> None:
        self.behind, self.trust = behind, TlsTrust(ca_bundle=tls.ca)
        self.status, self.body = 200, None
        self.headers: dict[str, str] = {}
        self.paths: list[tuple[str, str]] = []
        self.closing = threading.Event()
        self.pause_seconds = 0.0
        self.trickles = False
        doh = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                wire = self.rfile.read(int(self.headers["Content-Length"]))
                doh.paths.append((self.path, self.headers["Content-Type"]))
                doh.closing.wait(doh.pause_seconds)
                if doh.trickles:
                    self.trickle()
                body = doh.body if doh.body is not None else doh.behind.answer(wire, udp=False)
                self.send_response(doh.status)
                for name, value in {"Content-Length": str(len(body)), **doh.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def trickle(self):
                self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Trickle: ")
                while not doh.closing.wait(0.05):
                    self.wfile.write(b".")

            def log_message(self, format, *args):
                pass

        chain, key = directory / "doh.pem", directory / "doh.key"
        chain.write_bytes(tls.certificate)
        key.write_bytes(tls.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._http.server_port}/dns-query"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def resolver(self, **options):
        return Resolver([self.url], trust=self.trust, **options)


@pytest.fixture
def doh(tmp_path):
    with Doh(FakeNameserver(records=RECORDS), make_local_tls(), tmp_path).running() as doh:
        yield doh


def test_dns_over_https_answers_like_any_other(doh):
    assert doh.resolver().find_addresses("example.test") == ["192.0.2.1", "2001:db8::1"]
    assert Zones(doh.resolver(), SystemClock()).zone_of("www.example.test") == "example.test"
    assert set(doh.paths) == {("/dns-query", "application/dns-message")}


def unanswered(resolver):
    with pytest.raises(DnsUnavailable) as caught:
        resolver.ask("example.test", "SOA")
    told, _, advice = str(caught.value).partition("; check that ")
    assert "CERTMILL_RECURSIVE_NAMESERVERS" in advice
    return re.sub(r"^looking up SOA of example\.test: the resolver https://\S+ ", "", told)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b"", "answered HTTP 503"),
        (302, b"", "answered HTTP 302"),
        (200, b"<html>a captive portal</html>", "answered with something that is not a DNS message"),
        (200, b"", "answered with something that is not a DNS message"),
        (200, b"x" * (128 * 1024 + 1), "answered more than 131072 bytes"),
        (200, b"\x00\x01\x81\x80" + bytes(8), "answered another question"),
    ],
)
def test_what_is_no_dns_answer_is_temporary(doh, status, body, reason):
    doh.status, doh.body, doh.headers = status, body, {"Location": "https://127.0.0.1:1/"}

    assert unanswered(doh.resolver()) == reason
    assert len(doh.paths) == 1


def test_a_slow_https_server_is_left_after_the_time_out(doh):
    doh.pause_seconds = 5

    assert unanswered(doh.resolver(timeout_seconds=0.3)) == "did not answer"


def test_an_https_server_whose_head_trickles_is_left_after_the_time_out(doh):
    doh.trickles = True
    begun = time.monotonic()

    assert unanswered(doh.resolver(timeout_seconds=0.4)) == "did not answer"
    assert time.monotonic() - begun < 5


def test_an_https_server_that_nobody_vouches_for_is_not_believed(doh):
    assert unanswered(Resolver([doh.url])).startswith("has a TLS certificate that cannot be verified")


def test_a_value_is_queried_by_https_when_the_solver_says_so(doh):
    seen = is_visible(
        "_acme-challenge.example.test",
        "v",
        "example.test",
        servers=ZoneServers(doh.resolver(), SystemClock()),
        nameservers=(doh.url,),
    )

    assert not seen.visible
    assert "has a TLS certificate that cannot be verified" in seen.reason
    assert str(doh.url.rpartition(":")[2]) not in seen.reason.replace(doh.url, "")
