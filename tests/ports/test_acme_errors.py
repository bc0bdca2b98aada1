"""Our verbs against a CA that fails: down, slow, silent, broken, lying. Each ends in an error of our tree
that says what to do."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certmill.acme.actions import Action
from certmill.acme.client import AcmeClient
from certmill.acme.directories import DirectoryCache
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePool
from certmill.acme.problems import AcmeProblem
from certmill.acme.request_rates import RequestRates
from certmill.crypto.chain import MAX_LEAF_BYTES
from certmill.errors import (
    AccountRefused,
    Busy,
    CAUnavailable,
    CertificateWrong,
    CertmillError,
    InvalidManifest,
    OrderGone,
    OrderRefused,
    RateLimited,
)
from certmill.http.transport import MAX_ANSWER_BYTES, NoAnswer, TlsTrust
from certmill.model.names import Identifier, IdentifierType
from certmill.testing.clock import FakeClock
from certmill.testing.faulty_ca import Fault, FaultyCA

KEY = AccountKey(ec.generate_private_key(ec.SECP256R1()))
NAMES = [Identifier(type=IdentifierType.DNS, value="a.example")]
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
NONCE = {"Replay-Nonce": "abcdefgh"}


class Scripted:
    """A FaultyCA with no upstream, that has a directory and nonces, and answers as the test says."""

    def __init__(self, ca):
        self.ca = ca
        self.url = ca.url
        self.directory = {
            name: f"{ca.url}/{name}"
            for name in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo")
        }
        self.serve_directory()
        ca.break_with(Fault(status=200, headers=NONCE), on="/newNonce")

    def serve_directory(self, **members):
        self.ca.break_with(Fault.json({**self.directory, **members}), on="/directory")

    def answer(self, path, body, *, status=200, times=None, **headers):
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        self.ca.break_with(Fault.json(body, status=status, headers={**NONCE, **found}), on=path, times=times)

    def refuse(self, path, kind, status, *, times=None, **members):
        headers = {**NONCE, **members.pop("headers", {})}
        self.ca.break_with(
            Fault.problem(kind, status=status, detail="because", headers=headers, **members),
            on=path,
            times=times,
        )

    def asked(self, path):
        return [request for request in self.ca.requests if path in request[1]]

    def order(self, **members):
        return {
            "status": "pending",
            "identifiers": [{"type": "dns", "value": "a.example"}],
            "authorizations": [f"{self.url}/authz/1"],
            "finalize": f"{self.url}/finalize/1",
            **members,
        }


@pytest.fixture
def scripted():
    with FaultyCA() as ca:
        yield Scripted(ca)


@pytest.fixture
def connect():
    made = []

    def connect(ca, **options):
        options = {
            "nonces": NoncePool(),
            "directories": DirectoryCache(),
            "account_uri": f"{ca.url}/account/1",
            "timeout_seconds": 2.0,
            **options,
        }
        server = options.pop("server", ca.directory_url)
        client = AcmeClient(server=server, key=KEY, trust=TlsTrust(ca_bundle=ca.ca_bundle), **options)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def acme(scripted, connect):
    return connect(scripted.ca)


def failure(verb):
    with pytest.raises(CertmillError) as caught:
        verb()
    message = str(caught.value)
    assert message.isprintable()
    assert "127.0.0.1:" not in message, "a port is not stable"
    assert "urllib3" not in message
    return caught.value


@pytest.mark.parametrize(
    ("fault", "expected", "says"),
    [
        (Fault(status=500), CAUnavailable, "HTTP 500"),
        (
            Fault(status=503, headers={"Retry-After": "7"}, body=b"<html>busy</html>"),
            CAUnavailable,
            "HTTP 503",
        ),
        (Fault(status=429), RateLimited, "HTTP 429"),
        (Fault(status=200, body=b"{not json"), CAUnavailable, "not a JSON object"),
        (Fault(status=200, body=b""), CAUnavailable, "not a JSON object"),
        (Fault(status=200, body=b"[]"), CAUnavailable, "not a JSON object"),
        (Fault(status=200, body=b"[" * 500_000), CAUnavailable, "not a JSON object"),
        (Fault(status=200, body=b"{}"), CAUnavailable, "without 'status'"),
        (Fault(status=200, body=b"x" * (MAX_ANSWER_BYTES + 1)), NoAnswer, "more than"),
        (Fault(cut=True), NoAnswer, "cut the connection"),
        (Fault(status=200, cut=True, body=b'{"status": "pending"}'), NoAnswer, "cut the connection"),
        (
            Fault(status=302, headers={"Location": "https://evil.example/"}),
            CAUnavailable,
            "redirects to https://evil.example/",
        ),
        (Fault(status=304), CAUnavailable, "HTTP 304"),
        (Fault(status=404), OrderGone, "HTTP 404"),
    ],
    ids=[
        "500",
        "503",
        "429",
        "half-json",
        "empty",
        "list",
        "deep",
        "no-order",
        "huge",
        "cut",
        "cut-midway",
        "redirect",
        "304",
        "404",
    ],
)
def test_each_failure_has_its_error(scripted, acme, fault, expected, says):
    acme.directory()
    scripted.ca.break_with(fault, on="/order/1")

    error = failure(lambda: acme.order(f"{scripted.url}/order/1"))

    assert type(error) is expected
    assert says in str(error)


@pytest.mark.parametrize(
    ("status", "expected"), [(503, CAUnavailable), (500, CAUnavailable), (429, RateLimited)]
)
def test_retry_after_survives_an_answer_without_json(scripted, acme, status, expected):
    scripted.ca.break_with(Fault(status=status, headers={"Retry-After": "7"}, body=b"<html>"), on="/newOrder")

    error = failure(lambda: acme.new_order(NAMES))

    assert type(error) is expected
    assert error.retry_after == 7.0


def test_retry_after_of_a_success_is_on_the_value(scripted, acme):
    scripted.answer("/order/1", scripted.order(status="processing"), Retry_After="3")

    assert acme.order(f"{scripted.url}/order/1").retry_after == 3.0


def test_a_redirect_is_not_followed(scripted, acme):
    scripted.ca.break_with(Fault(status=307, headers={"Location": "/elsewhere"}), on="/order/1")

    failure(lambda: acme.order(f"{scripted.url}/order/1"))

    assert scripted.asked("/elsewhere") == []


def test_a_silent_ca_is_given_up_after_the_time_out(scripted, connect):
    acme = connect(scripted.ca, timeout_seconds=1.0)
    acme.directory()
    scripted.ca.break_with(Fault(hang_seconds=20), on="/order/1")
    begun = time.monotonic()

    error = failure(lambda: acme.order(f"{scripted.url}/order/1"))

    assert str(error) == "127.0.0.1 did not answer within 1 s"
    assert time.monotonic() - begun < 10
    scripted.ca.heal()


def test_a_head_that_trickles_does_not_buy_a_ca_more_time(scripted, connect):
    acme = connect(scripted.ca, timeout_seconds=1.0)
    acme.directory()
    scripted.ca.break_with(Fault(trickle=True), on="/order/1")
    begun = time.monotonic()

    error = failure(lambda: acme.order(f"{scripted.url}/order/1"))

    assert str(error) == "127.0.0.1 did not answer within 1 s"
    assert time.monotonic() - begun < 10
    scripted.ca.heal()


def test_a_ca_that_is_down_is_unavailable_and_is_found_when_it_is_back(scripted, acme):
    acme.directory()
    scripted.answer("/order/1", scripted.order())
    scripted.ca.down()

    error = failure(lambda: acme.order(f"{scripted.url}/order/1"))
    scripted.ca.up()

    assert isinstance(error, CAUnavailable)
    assert "connection refused" in str(error)
    assert acme.order(f"{scripted.url}/order/1").status == "pending"


def test_a_name_that_cannot_be_resolved_is_said(scripted, connect):
    error = failure(connect(scripted.ca, server="https://ca.invalid/directory").directory)

    assert str(error) == "ca.invalid has no address: its name cannot be resolved"


def test_what_is_no_tls_is_said(connect, scripted):
    """An http:// port behind an https:// URL."""
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def talk():
            connection, _ = plain.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(
                    1
                )  # until it hangs up: what was not read would cut the connection before the answer is

        threading.Thread(target=talk, daemon=True).start()
        error = failure(
            connect(scripted.ca, server=f"https://127.0.0.1:{plain.getsockname()[1]}/dir").directory
        )

    assert "failed the TLS handshake" in str(error)


def test_a_refused_nonce_is_replaced_by_the_one_in_the_refusal(scripted, acme):
    """RFC 8555 §6.5: the client SHOULD retry with the new nonce; that costs one request, not two."""
    scripted.answer("/newOrder", scripted.order(), Location=f"{scripted.url}/order/1")
    scripted.refuse("/newOrder", "badNonce", 400, times=7)

    order = acme.new_order(NAMES)

    assert order.url == f"{scripted.url}/order/1"
    assert len(scripted.asked("/newOrder")) == 8
    assert len(scripted.asked("/newNonce")) == 1


def test_nonces_that_are_refused_for_ever_end(scripted, acme):
    scripted.refuse("/newOrder", "badNonce", 400)

    error = failure(lambda: acme.new_order(NAMES))

    assert isinstance(error, CAUnavailable)
    assert len(scripted.asked("/newOrder")) == 11


def test_the_nonce_of_an_error_is_used(scripted, acme):
    scripted.refuse("/order/1", "malformed", 400)

    for _ in range(3):
        failure(lambda: acme.order(f"{scripted.url}/order/1"))

    assert len(scripted.asked("/newNonce")) == 1


def test_a_ca_without_nonces_is_unavailable(scripted, acme):
    scripted.ca.break_with(Fault(status=200), on="/newNonce")

    assert isinstance(failure(lambda: acme.new_order(NAMES)), CAUnavailable)


def test_the_directory_is_asked_once_an_hour(scripted, connect):
    clock, directories = FakeClock(), DirectoryCache()
    first, second = (connect(scripted.ca, clock=clock, directories=directories) for _ in range(2))

    first.directory()
    second.directory()
    assert len(scripted.asked("/directory")) == 1
    clock.advance(3601)
    second.directory()

    assert len(scripted.asked("/directory")) == 2


def test_an_order_is_exactly_one_request(scripted, acme):
    acme.directory()
    scripted.answer("/newOrder", scripted.order(), status=201, Location="/order/1")
    scripted.ca.requests.clear()

    order = acme.new_order(NAMES)

    assert order.url == f"{scripted.url}/order/1"
    assert scripted.ca.requests == [("HEAD", "/newNonce"), ("POST", "/newOrder")]


@pytest.mark.parametrize(
    "identifiers",
    [
        [],
        [{"type": "dns", "value": "evil.example"}],
        [{"type": "dns", "value": "a.example"}, {"type": "dns", "value": "www.a.example"}],
        [{"type": "ip", "value": "192.0.2.1"}],
    ],
)
def test_an_order_for_other_names_is_not_taken(scripted, acme, identifiers):
    scripted.answer("/newOrder", scripted.order(identifiers=identifiers), Location="/order/1")

    assert isinstance(failure(lambda: acme.new_order(NAMES)), OrderRefused)


def test_an_order_in_another_spelling_is_the_same(scripted, acme):
    wanted = [*NAMES, Identifier(type=IdentifierType.IP, value="2001:db8::1")]
    theirs = [{"type": "ip", "value": "2001:0db8:0:0::0001"}, {"type": "dns", "value": "A.EXAMPLE"}]
    scripted.answer("/newOrder", scripted.order(identifiers=theirs), Location="/order/1")

    assert acme.new_order(wanted).status == "pending"


def test_an_order_without_a_location_cannot_be_used(scripted, acme):
    scripted.answer("/newOrder", scripted.order())

    assert "Location" in str(failure(lambda: acme.new_order(NAMES)))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/order/1",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://127.0.0.1@evil.example/",
        "https://127.0.0.1 .evil.example/",
        "",
    ],
)
def test_requests_go_nowhere_but_to_the_cas_own_hosts(scripted, acme, url):
    for verb in (acme.order, acme.authorization, acme.answer, acme.certificate):
        assert isinstance(failure(lambda verb=verb: verb(url)), CAUnavailable)


def test_a_location_elsewhere_is_not_kept(scripted, acme):
    scripted.answer("/newOrder", scripted.order(), Location="https://evil.example/order/1")

    assert "evil.example is not in the directory" in str(failure(lambda: acme.new_order(NAMES)))


NO_URLS = ("https://[", "https://[::1/order/1")
"""urllib raises a ValueError for these."""


@pytest.mark.parametrize("no_url", NO_URLS)
def test_a_location_that_is_no_url_is_an_error_of_the_ca(scripted, acme, no_url):
    scripted.answer("/newOrder", scripted.order(), Location=no_url)

    error = failure(lambda: acme.new_order(NAMES))

    assert (type(error), "it is not a URL" in str(error)) == (CAUnavailable, True)


@pytest.mark.parametrize("no_url", NO_URLS)
def test_a_directory_with_an_entry_that_is_no_url_is_an_error_of_the_ca(scripted, connect, no_url):
    scripted.serve_directory(revokeCert=no_url)

    error = failure(connect(scripted.ca).directory)

    assert (type(error), "it is not a URL" in str(error)) == (CAUnavailable, True)


def test_a_conflict_at_what_is_no_url_is_an_error_of_the_ca(scripted, connect):
    scripted.refuse("/newAccount", "conflict", 409, headers={"Location": "https://["})

    error = failure(connect(scripted.ca, account_uri=None).new_account)

    assert (type(error), "it is not a URL" in str(error)) == (CAUnavailable, True)


def test_a_request_never_falls_back_to_http(scripted, acme):
    error = failure(lambda: acme.order(f"{scripted.url}/order/1".replace("https", "http")))

    assert "it is http:" in str(error)


def test_a_directory_may_name_other_hosts_but_not_http(scripted, connect):
    scripted.serve_directory(newNonce="http://127.0.0.1:1/nonce")

    assert "it is http:" in str(failure(connect(scripted.ca).directory))


@pytest.mark.parametrize("server", ["", "ca.example", "ftp://ca.example/", "https://user:secret@ca.example/"])
def test_a_server_that_is_no_url_names_its_field(scripted, connect, server):
    error = failure(connect(scripted.ca, server=server).directory)

    assert isinstance(error, InvalidManifest)
    assert error.path == "spec.acme.server"
    assert "secret" not in str(error)


def test_a_bundle_that_is_none_names_its_field(scripted):
    acme = AcmeClient(
        server=scripted.ca.directory_url,
        key=KEY,
        trust=TlsTrust(ca_bundle=b"no PEM"),
        nonces=NoncePool(),
        directories=DirectoryCache(),
    )

    error = failure(acme.directory)

    assert isinstance(error, InvalidManifest)
    assert error.path == "spec.acme.caBundle"


def test_a_url_that_is_no_directory_is_the_issuers_mistake(scripted, connect):
    scripted.ca.break_with(Fault(status=404), on="/directory")

    error = failure(connect(scripted.ca).directory)

    assert isinstance(error, AccountRefused)
    assert "spec.acme.server" in str(error)


def test_an_account_that_exists_by_conflict_is_found_where_the_ca_says(scripted, connect):
    """RFC 8555 §7.3.1 has 200; some CAs answer 409 with its Location."""
    scripted.refuse("/newAccount", "conflict", 409, headers={"Location": f"{scripted.url}/account/7"})
    scripted.answer("/account/7", {"status": "valid"})
    acme = connect(scripted.ca, account_uri=None)

    account = acme.new_account()

    assert (account.url, account.existed, acme.account_uri) == (
        f"{scripted.url}/account/7",
        True,
        f"{scripted.url}/account/7",
    )


def test_a_key_in_use_keeps_ours_and_says_whose_it_is(scripted, acme):
    scripted.refuse("/keyChange", "conflict", 409, headers={"Location": f"{scripted.url}/account/7"})

    error = failure(lambda: acme.change_key(AccountKey(ec.generate_private_key(ec.SECP256R1()))))

    cause = error.__cause__
    assert isinstance(error, AccountRefused)
    assert isinstance(cause, AcmeProblem)
    assert cause.location == f"{scripted.url}/account/7"


def test_a_challenge_needs_no_up_link(scripted, acme):
    scripted.answer(
        "/chall/1",
        {"type": "http-01", "url": f"{scripted.url}/chall/1", "status": "processing", "token": TOKEN},
    )

    assert acme.answer(f"{scripted.url}/chall/1").status == "processing"


def test_a_challenge_that_somebody_else_answers_is_distinguished(scripted, acme):
    scripted.refuse("/chall/1", "conflict", 409)

    error = failure(lambda: acme.answer(f"{scripted.url}/chall/1"))

    assert isinstance(error, OrderRefused)
    assert error.acme_type == "conflict"


def test_a_token_that_is_a_path_is_not_used(scripted, acme):
    challenge = {
        "type": "http-01",
        "url": f"{scripted.url}/chall/1",
        "status": "pending",
        "token": "../../../../../../etc/passwd",
    }
    scripted.answer(
        "/authz/1",
        {"status": "pending", "identifier": {"type": "dns", "value": "a.example"}, "challenges": [challenge]},
    )

    assert isinstance(failure(lambda: acme.authorization(f"{scripted.url}/authz/1")), CAUnavailable)


LEAF = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no PEM",
        LEAF.encode() + b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
        b"rm -rf /\n" + LEAF.encode(),
        LEAF.encode() * 17,
        b"\xff\xfe" + LEAF.encode(),
    ],
    ids=["empty", "text", "key", "preamble", "many", "bytes"],
)
def test_what_is_no_chain_of_certificates_is_not_taken(scripted, acme, body):
    """RFC 8555 §9.1: certificates in strict PEM, no explanatory text."""
    scripted.ca.break_with(Fault(status=200, headers=NONCE, body=body), on="/cert/1")

    assert isinstance(failure(lambda: acme.certificate(f"{scripted.url}/cert/1")), CAUnavailable)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((MAX_LEAF_BYTES, 1000), "the first certificate is larger than 36500 bytes"),
        ((1000, *[21_000] * 13), "the certificate chain is larger than 262144 bytes"),
        ((1000, *[20_000] * 12), ""),
    ],
    ids=["leaf", "chain", "fits"],
)
def test_a_chain_that_could_not_be_stored_is_not_taken_and_says_so(scripted, acme, sizes, says):
    body = "".join(LEAF.replace("MIIB", "A" * size) for size in sizes)
    scripted.ca.break_with(Fault(status=200, headers=NONCE, body=body.encode()), on="/cert/1")

    if not says:
        assert acme.certificate(f"{scripted.url}/cert/1").pem == body
        return
    error = failure(lambda: acme.certificate(f"{scripted.url}/cert/1"))
    assert isinstance(error, CertificateWrong)
    assert says in str(error)


def test_a_chain_is_taken_whatever_its_line_ends(scripted, acme):
    body = (LEAF * 2).replace("\n", "\r\n").encode()
    scripted.ca.break_with(Fault(status=200, headers=NONCE, body=body), on="/cert/1")

    assert acme.certificate(f"{scripted.url}/cert/1").pem == LEAF * 2


def test_alternates_elsewhere_are_not_asked_and_do_not_spoil_the_chain(scripted, acme):
    fault = Fault(
        status=200, headers={**NONCE, "Link": '<https://evil.example/1>;rel="alternate"'}, body=LEAF.encode()
    )
    scripted.ca.break_with(fault, on="/cert/1")

    chain = acme.certificate(f"{scripted.url}/cert/1")

    assert chain.pem == LEAF
    assert "evil.example is not in the directory" in str(
        failure(lambda: acme.certificate(chain.alternates[0]))
    )


def test_no_renewal_information_is_distinguished_from_no_ca(scripted, acme):
    scripted.refuse("/renewalInfo", "malformed", 404)

    assert isinstance(failure(lambda: acme.renewal_info("AAAA.BBBB")), OrderRefused)
    assert isinstance(failure(lambda: acme.renewal_info("../x.y")), OrderRefused)


def test_a_ca_without_renewal_information_is_not_asked(scripted, connect):
    scripted.serve_directory(renewalInfo="")

    assert "does not support renewal information" in str(
        failure(lambda: connect(scripted.ca).renewal_info("AAAA.BBBB"))
    )


def test_replaces_is_sent_and_its_refusals_are_distinguished(scripted, acme):
    for kind, status in (("alreadyReplaced", 409), ("malformed", 404), ("unauthorized", 403)):
        scripted.refuse("/newOrder", kind, status, times=1)

        error = failure(lambda: acme.new_order(NAMES, replaces="AAAA.BBBB"))

        assert (error.acme_type, error.__cause__.status) == (kind, status)


def test_without_an_account_nothing_is_asked_in_its_name(scripted, connect):
    error = failure(lambda: connect(scripted.ca, account_uri=None).new_order(NAMES))

    assert isinstance(error, AccountRefused)
    assert scripted.asked("/newOrder") == []


def test_the_fault_proxy_relays_a_real_ca(pebble, connect):
    """URLs that Pebble names lead through the proxy: nothing goes around it."""
    with FaultyCA(upstream=pebble.directory_url, upstream_ca=pebble.ca_bundle) as ca:
        acme = connect(ca, account_uri=None)
        acme.new_account()
        order = acme.new_order(NAMES)

        ca.break_with(Fault(status=503, headers={"Retry-After": "2"}), on="/my-order/", times=1)
        assert failure(lambda: acme.order(order.url)).retry_after == 2.0
        assert acme.order(order.url).status == "pending"


def test_a_lost_answer_leaves_the_order_at_the_ca(pebble, connect):
    """The CA did what we asked, and we never heard: the next attempt may ask again."""
    with FaultyCA(upstream=pebble.directory_url, upstream_ca=pebble.ca_bundle) as ca:
        acme = connect(ca, account_uri=None)
        ca.break_with(Fault(cut=True, relay=True), on="/sign-me-up", times=1)

        assert isinstance(failure(acme.new_account), CAUnavailable)
        assert acme.new_account().existed


def test_no_secret_is_in_any_error(scripted, acme):
    scripted.refuse("/newOrder", "unauthorized", 403, extra=json.dumps({"mac": "geheim"}))

    error = failure(lambda: acme.new_order(NAMES))

    assert "geheim" not in f"{error!r} {error.__cause__!r}"
    assert KEY.thumbprint not in str(error)


def test_a_request_over_the_request_rate_is_not_sent(scripted, connect):
    rates = RequestRates("https://acme-v02.api.letsencrypt.org/directory", clock=TimeStandsStill())
    with contextlib.suppress(Busy):
        for _ in range(1000):
            rates.admit(Action.AUTHORIZE_ORDER)
    client = connect(scripted.ca, rates=rates)

    with pytest.raises(Busy):
        client.new_order([Identifier(type=IdentifierType.DNS, value="a.example")])

    assert scripted.asked("/newNonce")
    assert scripted.asked("/newOrder") == []


class TimeStandsStill(FakeClock):
    """Other threads wait at the same time: no pause makes the time go on."""

    def pause(self, seconds):
        """Does nothing."""
