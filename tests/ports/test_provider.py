"""One suite for every DNS-01 provider: RFC 2136 on a real BIND (each TSIG algorithm, UDP and TCP),
Cloudflare's API on the fake, memory."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from certmill.clock import SystemClock
from certmill.dns01.base import TxtRecord
from certmill.dns01.providers.cloudflare.api import CloudflareProvider
from certmill.dns01.providers.rfc2136 import Protocol, Rfc2136, TsigAlgorithm
from certmill.dns01.providers.rfc2136.update import Rfc2136Provider
from certmill.errors import ProviderUnavailable, SecretUnusable, SolverMisconfigured
from certmill.testing.cloudflare import FakeCloudflare, Permissions
from certmill.testing.nameserver import Behaviour, FakeNameserver
from certmill.testing.provider import MemoryProvider
from compose.servers.bind import Bind
from compose.servers.ports import free_port

ZONE = "example.test"
TOKEN = "right-token_0123456789012345678901234567"
KEY = "0123456789abcdef0123456789abcdef01234"
WRONG = base64.b64encode(b"not the secret, but as good a one").decode()
ALGORITHMS = {
    "HMACMD5": "hmac-md5",
    "HMACSHA1": "hmac-sha1",
    "HMACSHA256": "hmac-sha256",
    "HMACSHA512": "hmac-sha512",
}
SECRETS = {name: base64.b64encode(f"the TSIG secret for {name}".encode()).decode() for name in ALGORITHMS}


def rfc2136(
    port,
    algorithm="HMACSHA256",
    protocol="UDP",
    *,
    secret=None,
    key=None,
    timeout_seconds=5.0,
    nameserver="127.0.0.1",
):
    config = Rfc2136(
        nameserver=nameserver,
        port=port,
        tsig_key_name=key or f"key-{algorithm.lower()}",
        tsig_algorithm=TsigAlgorithm(algorithm),
        protocol=Protocol(protocol),
    )
    return Rfc2136Provider(config, tsig_secret=secret or SECRETS[algorithm], timeout_seconds=timeout_seconds)


def cloudflare(url, *, token=TOKEN, timeout_seconds=5.0, **credentials):
    return CloudflareProvider(
        api_url=url, token=token, clock=SystemClock(), timeout_seconds=timeout_seconds, **credentials
    )


@pytest.fixture(scope="module")
def bind(tmp_path_factory):
    keys = {f"key-{name.lower()}": (algorithm, SECRETS[name]) for name, algorithm in ALGORITHMS.items()}
    with Bind(directory=tmp_path_factory.mktemp("bind"), zones=(ZONE, f"sub.{ZONE}"), tsig=keys) as server:
        yield server


@pytest.fixture(scope="module")
def fake_cloudflare():
    with FakeCloudflare(
        zones=(ZONE,), tokens={TOKEN: Permissions()}, keys={"ops@example.test": KEY}
    ) as server:
        yield server


WAYS = [f"rfc2136 {algorithm} {protocol}" for algorithm in ALGORITHMS for protocol in ("UDP", "TCP")]


@pytest.fixture(params=[*WAYS, "cloudflare token", "cloudflare key", "memory"])
def provider_and_values(request):
    """(provider, values): `values(name)` is what the provider's side holds, as a sorted list that would show
    a second copy."""
    kind, *options = request.param.split()
    if kind == "memory":
        provider = MemoryProvider()
        return provider, lambda name: sorted(provider.values.get(name, ()))
    if kind == "cloudflare":
        fake = request.getfixturevalue("fake_cloudflare")
        key = {"token": None, "email": "ops@example.test", "key": KEY} if options == ["key"] else {}
        return cloudflare(fake.url, **key), lambda name: sorted(fake.records(name))
    bind = request.getfixturevalue("bind")
    return rfc2136(bind.port, *options), lambda name: sorted(bind.txt(name))


@pytest.fixture
def provider(provider_and_values):
    return provider_and_values[0]


@pytest.fixture
def values(provider_and_values):
    return provider_and_values[1]


@pytest.fixture
def name(request):
    """A name of this test's own."""
    number = abs(hash(request.node.name)) % 10**9
    return f"_acme-challenge.n{number}.{ZONE}"


def txt(name, value="gfj9Xq...Rg85nM-_"):
    return TxtRecord(name=name, value=value, zone=ZONE)


def test_present_adds_one_value_and_others_stay(provider, values, name):
    provider.present(txt(name, "one"))
    provider.present(txt(name, "two"))

    assert values(name) == ["one", "two"]


def test_present_twice_is_one_value(provider, values, name):
    provider.present(txt(name))
    provider.present(txt(name))

    assert values(name) == [txt(name).value]


def test_cleanup_removes_this_value_only(provider, values, name):
    provider.present(txt(name, "ours"))
    provider.present(txt(name, "theirs"))

    provider.cleanup(txt(name, "ours"))

    assert values(name) == ["theirs"]


def test_cleanup_of_the_last_value_leaves_nothing(provider, values, name):
    provider.present(txt(name))

    provider.cleanup(txt(name))

    assert values(name) == []


def test_cleanup_without_present_is_no_error_and_touches_nothing(provider, values, name):
    provider.present(txt(name, "theirs"))

    provider.cleanup(txt(name, "ours"))
    provider.cleanup(txt(f"never.{name}", "ours"))

    assert values(name) == ["theirs"]


def test_cleanup_twice_is_no_error(provider, values, name):
    provider.present(txt(name))

    provider.cleanup(txt(name))
    provider.cleanup(txt(name))

    assert values(name) == []


def test_many_threads_lose_none_of_their_values(provider, values, name):
    wanted = [f"value-{number}" for number in range(12)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda value: provider.present(txt(name, value)), wanted))

    assert values(name) == sorted(wanted)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_fifty_values_and_more_go_in_one_batch_each(bind, protocol):
    records = [
        txt(f"_acme-challenge.{protocol.lower()}{number}.{ZONE}", f"{number:043}") for number in range(60)
    ]
    provider = rfc2136(bind.port, protocol=protocol)

    provider.present_all(records)
    there = [bind.txt(record.name) for record in records]
    provider.cleanup_all(records[:59])

    assert there == [{record.value} for record in records]
    assert [bind.txt(record.name) for record in records] == [set()] * 59 + [{records[59].value}]


def test_fifty_values_at_one_name(bind):
    name = f"_acme-challenge.fifty.{ZONE}"
    records = [txt(name, f"{number:043}") for number in range(50)]
    rfc2136(bind.port).present_all(records)

    rfc2136(bind.port).cleanup_all(records)

    assert bind.txt(name) == set()


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_a_name_server_may_be_given_by_its_name(bind, protocol):
    record = txt(f"_acme-challenge.by-name-{protocol.lower()}.{ZONE}")

    rfc2136(bind.port, protocol=protocol, nameserver="localhost").present(record)

    assert bind.txt(record.name) == {record.value}


def test_a_name_server_whose_name_has_no_address_is_temporary_and_named():
    with pytest.raises(ProviderUnavailable, match=r"no-such-host\.invalid has no address"):
        rfc2136(53, nameserver="no-such-host.invalid").present(txt(f"_acme-challenge.{ZONE}"))


def test_a_sub_zone_takes_its_own_updates(bind):
    record = TxtRecord(name=f"_acme-challenge.sub.{ZONE}", value="below", zone=f"sub.{ZONE}")

    rfc2136(bind.port).present(record)

    assert bind.txt(record.name) == {"below"}


def refusal(call):
    with pytest.raises(SolverMisconfigured) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_a_wrong_tsig_secret_is_an_error_that_names_the_key_and_not_the_secret(bind, algorithm, protocol):
    message = refusal(
        lambda: rfc2136(bind.port, algorithm, protocol, secret=WRONG).present(txt(f"_acme-challenge.{ZONE}"))
    )

    assert f"key-{algorithm.lower()}" in message
    assert WRONG not in message
    assert str(bind.port) not in message


def test_an_unknown_tsig_key_is_a_configuration_error(bind):
    assert "nobody" in refusal(
        lambda: rfc2136(bind.port, key="nobody").present(txt(f"_acme-challenge.{ZONE}"))
    )


def test_another_algorithm_than_the_servers_is_a_configuration_error(bind):
    provider = rfc2136(bind.port, "HMACSHA512", key="key-hmacsha256", secret=SECRETS["HMACSHA256"])

    assert "algorithm" in refusal(lambda: provider.present(txt(f"_acme-challenge.{ZONE}")))


def test_an_update_without_a_key_that_is_refused_says_so(bind):
    config = Rfc2136(nameserver="127.0.0.1", port=bind.port)

    assert "without a TSIG key" in refusal(
        lambda: Rfc2136Provider(config, tsig_secret=None).present(txt(f"_acme-challenge.{ZONE}"))
    )


def test_a_zone_that_the_name_server_does_not_have_is_a_configuration_error(bind):
    record = TxtRecord(name="_acme-challenge.elsewhere.test", value="v", zone="elsewhere.test")

    assert "elsewhere.test" in refusal(lambda: rfc2136(bind.port).present(record))


@pytest.mark.parametrize("secret", ["not base64!", "AAA", "ümlaut"])
def test_a_tsig_secret_that_is_not_base64_is_refused_without_showing_it(secret):
    with pytest.raises(SecretUnusable, match="not base64") as caught:
        rfc2136(53, secret=secret)

    assert secret not in str(caught.value)


def test_a_wrong_token_is_an_error_that_names_the_permissions_and_not_the_token(fake_cloudflare):
    token = "wrong-token_0123456789012345678901234567"

    message = refusal(
        lambda: cloudflare(fake_cloudflare.url, token=token).present(txt(f"_acme-challenge.{ZONE}"))
    )

    assert "Zone:Read" in message
    assert "DNS:Edit" in message
    assert token not in message


def test_a_wrong_api_key_is_a_configuration_error_without_the_key(fake_cloudflare):
    key = "f" * 37
    provider = cloudflare(fake_cloudflare.url, token=None, email="ops@example.test", key=key)

    message = refusal(lambda: provider.cleanup(txt(f"_acme-challenge.{ZONE}")))

    assert "API key" in message
    assert key not in message


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_a_name_server_that_is_away_is_temporary(protocol):
    with pytest.raises(ProviderUnavailable, match=ZONE) as caught:
        rfc2136(free_port(), protocol=protocol, timeout_seconds=0.3).present(txt(f"_acme-challenge.{ZONE}"))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_what_is_said_of_a_name_server_that_is_away_is_the_same_each_time(protocol):
    provider = rfc2136(free_port(), protocol=protocol, timeout_seconds=0.3)

    messages = set()
    for _ in range(3):
        with pytest.raises(ProviderUnavailable) as caught:
            provider.present(txt(f"_acme-challenge.{ZONE}"))
        messages.add(str(caught.value))

    assert len(messages) == 1


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(Behaviour.SILENT, "does not answer|cannot be reached"), (Behaviour.SERVFAIL, "SERVFAIL")],
)
def test_a_name_server_in_trouble_is_temporary_and_left_in_bounded_time(protocol, behaviour, reason):
    with FakeNameserver(behaviour=behaviour) as server:
        config = Rfc2136(nameserver="127.0.0.1", port=server.port, protocol=Protocol(protocol))
        began = time.monotonic()

        with pytest.raises(ProviderUnavailable, match=reason):
            Rfc2136Provider(config, tsig_secret=None, timeout_seconds=0.3).present(
                txt(f"_acme-challenge.{ZONE}")
            )

    assert time.monotonic() - began < 5


def test_an_api_that_is_away_is_temporary():
    port = free_port()

    with pytest.raises(ProviderUnavailable, match=ZONE) as caught:
        cloudflare(f"http://127.0.0.1:{port}").present(txt(f"_acme-challenge.{ZONE}"))

    assert f"port {port} (connection refused)" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_memory_fails_as_requested():
    provider = MemoryProvider()
    provider.failure = ProviderUnavailable("away")

    with pytest.raises(ProviderUnavailable):
        provider.present(txt("_acme-challenge.example.test"))
    assert provider.values == {}
