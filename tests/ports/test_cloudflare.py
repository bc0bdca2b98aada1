"""What Cloudflare's API may answer, and what is made of it; the fake itself answers as Cloudflare
publishes."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certmill.clock import SystemClock
from certmill.dns01.base import TxtRecord
from certmill.dns01.providers.cloudflare.api import CloudflareProvider
from certmill.errors import CertmillError, ProviderUnavailable, SecretUnusable, SolverMisconfigured
from certmill.testing.clock import FakeClock
from certmill.testing.cloudflare import FakeCloudflare, Permissions, RateLimit

TOKEN = "right-token_0123456789012345678901234567"
NAME = "_acme-challenge.www.example.test"
RECORD = TxtRecord(name=NAME, value="gfj9Xq-Rg85nM_value", zone="example.test")


@pytest.fixture
def fake():
    tokens = {
        TOKEN: Permissions(),
        "cannot-edit": Permissions(edit_dns=False),
        "cannot-read": Permissions(read_zones=False),
        "other-zone": Permissions(zones=frozenset({"other.test"})),
    }
    with FakeCloudflare(zones=("example.test", "other.test"), tokens=tokens) as server:
        yield server


def provider(fake, token=TOKEN, *, timeout_seconds=5.0):
    return CloudflareProvider(
        api_url=fake.url, token=token, clock=SystemClock(), timeout_seconds=timeout_seconds
    )


def envelope(*codes, success=False, result=None):
    errors = [{"code": code, "message": f"SECRET-RAW-TEXT {code}"} for code in codes]
    return json.dumps({"success": success, "errors": errors, "messages": [], "result": result}).encode()


def test_the_zone_is_resolved_once(fake):
    cloudflare = provider(fake)

    for number in range(3):
        cloudflare.present(TxtRecord(name=NAME, value=f"v{number}", zone="example.test"))

    assert [path for method, path in fake.requests if method == "GET"] == [
        "/client/v4/zones?name=example.test&per_page=50"
    ]


def test_a_zone_with_a_new_id_is_resolved_again(fake):
    cloudflare = provider(fake)
    cloudflare.present(RECORD)
    fake.move_zone("example.test")

    cloudflare.cleanup(RECORD)
    fake.move_zone("example.test")
    cloudflare.present(RECORD)

    assert fake.records(NAME) == [RECORD.value]


def test_a_sub_zone_that_the_account_has_not_is_written_into_its_parent(fake):
    record = TxtRecord(name="_acme-challenge.a.b.example.test", value="v", zone="a.b.example.test")

    provider(fake).present(record)

    assert fake.records(record.name) == ["v"]


def test_a_zone_that_the_account_has_not_is_a_configuration_error_that_names_it(fake):
    with pytest.raises(SolverMisconfigured, match=r"no zone missing\.test .*Zone:Read"):
        provider(fake).present(TxtRecord(name="_acme-challenge.missing.test", value="v", zone="missing.test"))


@pytest.mark.parametrize("token", ["cannot-edit", "cannot-read", "other-zone", "unknown-token"])
def test_a_token_without_a_permission_is_refused_with_what_it_needs(fake, token):
    with pytest.raises(SolverMisconfigured, match=r"Zone:Read and DNS:Edit") as caught:
        provider(fake, token).present(RECORD)

    assert "example.test" in str(caught.value)
    assert token not in str(caught.value)


def test_cleanup_reads_every_page_and_takes_only_our_value(fake):
    fake.max_per_page = 2
    for number in range(5):
        fake.add(NAME, f"theirs-{number}")
    provider(fake).present(RECORD)

    provider(fake).cleanup(RECORD)

    assert fake.records(NAME) == [f"theirs-{number}" for number in range(5)]
    assert sum(method == "DELETE" for method, _ in fake.requests) == 1


@pytest.mark.parametrize("content", [RECORD.value, f'"{RECORD.value}"'])
def test_a_value_is_found_with_and_without_quotes(fake, content):
    fake.add(NAME, content)

    provider(fake).present(RECORD)
    assert fake.records(NAME) == [RECORD.value]
    provider(fake).cleanup(RECORD)

    assert fake.records(NAME) == []


def test_a_record_that_somebody_else_removed_first_is_no_error(fake):
    cloudflare = provider(fake)
    cloudflare.present(RECORD)
    # Zone known; the list and then the removal are answered by hand.
    listed = {"id": "0" * 32, "type": "TXT", "name": NAME, "content": RECORD.value}
    fake.answer_next(200, envelope(success=True, result=[listed]))

    cloudflare.cleanup(RECORD)

    assert fake.requests[-1] == ("DELETE", fake.requests[-1][1])
    assert fake.requests[-1][1].endswith("0" * 32)


@pytest.mark.parametrize("code", [81057, 81058])
def test_an_identical_record_is_fine(fake, code):
    cloudflare = provider(fake)
    cloudflare.present(RECORD)
    fake.answer_next(400, envelope(code))
    before = len(fake.requests)

    cloudflare.present(RECORD)

    assert len(fake.requests) > before
    assert fake.records(NAME) == [RECORD.value]


def test_records_that_the_filter_should_not_have_let_through_are_left_alone(fake):
    cloudflare = provider(fake)
    cloudflare.present(RECORD)
    foreign = [
        {"id": "1" * 32, "type": "TXT", "name": f"other.{NAME}", "content": RECORD.value},
        {"id": "2" * 32, "type": "CNAME", "name": NAME, "content": RECORD.value},
        {"id": "3" * 32, "type": "TXT", "name": NAME, "content": f"{RECORD.value} and more"},
    ]
    fake.answer_next(200, envelope(success=True, result=foreign))

    cloudflare.cleanup(RECORD)

    assert not [method for method, _ in fake.requests if method == "DELETE"]


def test_the_rate_limit_is_temporary_with_the_servers_own_wait(fake):
    fake.access.rate_limit = RateLimit(requests=1, window_seconds=300)

    with pytest.raises(ProviderUnavailable, match="slow down") as caught:
        provider(fake).present(RECORD)

    assert caught.value.retry_after == pytest.approx(300, abs=2)
    assert fake.records(NAME) == []


@pytest.mark.parametrize("status", [500, 502, 503, 520, 524])
def test_a_failing_api_is_temporary(fake, status):
    fake.answer_next(status, b"<html>a gateway's page</html>")

    with pytest.raises(ProviderUnavailable, match=str(status)) as caught:
        provider(fake).present(RECORD)

    assert "gateway" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, 10000),
        (403, 10000),
        (403, 9109),
        (400, 6003),
        (400, 6111),
        (400, 9106),
        (403, 9103),
        (200, 10000),
    ],
)
def test_refused_credentials_are_a_configuration_error(fake, status, code):
    fake.answer_next(status, envelope(code))

    with pytest.raises(SolverMisconfigured, match=rf"code {code}.*DNS:Edit") as caught:
        provider(fake).present(RECORD)

    assert "SECRET-RAW-TEXT" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_refusal_names_the_record_and_the_code(fake):
    cloudflare = provider(fake)
    cloudflare.present(RECORD)
    fake.answer_next(400, envelope(81045))

    with pytest.raises(SolverMisconfigured, match=rf"code 81045.*{NAME}"):
        cloudflare.present(RECORD)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"null",
        b'"text"',
        b'{"result": []}',
        b'{"success": "yes", "result": []}',
        b"\xff\xfe",
        b"[" * 200_000,
    ],
)
def test_an_answer_that_is_not_the_apis_is_temporary(fake, body):
    fake.answer_next(200, body)

    with pytest.raises(ProviderUnavailable, match=r"example\.test"):
        provider(fake).present(RECORD)


@pytest.mark.parametrize(
    "result",
    [None, {}, "zones", [None, 1, "x"], [{"id": 7, "name": None}], [{"id": "", "name": "example.test"}]],
)
def test_a_zone_list_of_another_shape_holds_no_zone(fake, result):
    fake.answer_next(200, envelope(success=True, result=result))

    with pytest.raises(SolverMisconfigured, match="no zone"):
        provider(fake, "other-zone").present(RECORD)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from([NAME, "example.test", "..", "\ud800", "TXT"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "type", "content", "code"]), inner)
    ),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("success", "errors", "result", "result_info"), VALUES)
)


@given(bodies=st.lists(st.tuples(st.sampled_from([200, 400, 404, 500]), ENVELOPES), min_size=1, max_size=3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_it_answers_only_our_errors_come_out(fake, bodies):
    for status, body in bodies:
        fake.answer_next(status, json.dumps(body).encode())

    with contextlib.suppress(CertmillError):
        provider(fake).cleanup(RECORD)
    fake.forget_answers()


@pytest.mark.parametrize("record_id", ["..", "a/b", "a?b", "\ud800", "", 7])
def test_an_id_that_would_change_the_path_is_not_used(fake, record_id):
    cloudflare = provider(fake)
    cloudflare.present(RECORD)
    listed = {"id": record_id, "type": "TXT", "name": NAME, "content": RECORD.value}
    fake.answer_next(200, envelope(success=True, result=[listed]))

    cloudflare.cleanup(RECORD)

    assert not [method for method, _ in fake.requests if method == "DELETE"]


def test_a_redirect_is_not_followed_and_gets_no_token(fake):
    with FakeCloudflare(zones=("example.test",), tokens={TOKEN: Permissions()}) as elsewhere:
        fake.answer_next(307, b"", {"Location": f"{elsewhere.url}/zones?name=example.test"})

        with pytest.raises(ProviderUnavailable, match="307"):
            provider(fake).present(RECORD)

        assert elsewhere.requests == []


def test_a_huge_answer_is_not_read(fake):
    fake.answer_next(200, b" " * 3_000_000)

    with pytest.raises(ProviderUnavailable, match="more than 1048576 bytes"):
        provider(fake).present(RECORD)


def test_an_api_that_says_nothing_is_left_after_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(ProviderUnavailable, match="did not answer within"):
            CloudflareProvider(api_url=url, token=TOKEN, clock=SystemClock(), timeout_seconds=0.3).present(
                RECORD
            )

    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "url", ["http://api.cloudflare.example/client/v4", "ftp://127.0.0.2/", "http://127.0.0.1.evil.example"]
)
def test_plain_http_is_refused_but_on_loopback(url):
    with pytest.raises(SolverMisconfigured, match="https://"):
        CloudflareProvider(api_url=url, token=TOKEN, clock=SystemClock())


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut"])
def test_a_token_that_no_header_can_hold_is_refused_without_showing_it(token):
    with pytest.raises(SecretUnusable) as caught:
        CloudflareProvider(api_url="https://api.cloudflare.example", token=token, clock=SystemClock())

    assert not token or token not in str(caught.value)


def test_the_token_is_in_no_repr(fake):
    cloudflare = provider(fake)

    assert TOKEN not in repr(cloudflare)
    assert TOKEN not in repr(fake)


def test_the_ttl_is_at_least_a_minute(fake):
    sent = []
    original = fake.answer
    fake.answer = lambda method, target, headers, body: (
        sent.append(body),
        original(method, target, headers, body),
    )[1]

    provider(fake).present(replace(RECORD, ttl_seconds=30))

    assert [json.loads(body)["ttl"] for body in sent if body] == [60]


def test_the_fake_shows_its_values_by_dns_after_a_while():
    import dns.message
    import dns.query

    clock = FakeClock()
    with FakeCloudflare(
        zones=("example.test",), tokens={TOKEN: Permissions()}, visible_after_seconds=0.4, clock=clock
    ) as fake:

        def answer(name, type_):
            query = dns.message.make_query(name, type_)
            return [
                record.to_text()
                for rrset in dns.query.udp(query, "127.0.0.1", 10, fake.dns_port).answer
                for record in rrset
            ]

        provider(fake).present(RECORD)
        assert answer(NAME, "TXT") == []
        clock.advance(0.5)
        assert answer(NAME, "TXT") == [f'"{RECORD.value}"']

        assert answer("anything.example.test", "A") == ["127.0.0.1"]
        assert answer("example.test", "NS") == ["ns1.example.test."]
        provider(fake).cleanup(RECORD)
        assert answer(NAME, "TXT") == []
