"""A fleet against a CA that limits as Boulder does: it gets no answer 429."""

from __future__ import annotations

import base64

import pytest

from certmill.model.rate_limit import LimitName, RateLimit
from compose.servers.redis import RedisServer
from tests.support.lab import Lab
from tests.support.limited_ca import LimitedCA
from tests.support.waiting import until

LIMITS = {
    LimitName.NEW_ORDERS: RateLimit(count=8, seconds=16),
    LimitName.CERTIFICATES_PER_DOMAIN: RateLimit(count=5, seconds=20),
    LimitName.CERTIFICATES_PER_SET: RateLimit(count=2, seconds=40),
}
ANNOTATION = ", ".join(f"{name}={limit.count}/{limit.seconds:g}s" for name, limit in LIMITS.items())


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("limited")
    with (
        RedisServer(directory=directory / "redis") as redis,
        Lab(
            directory=directory, redis_url=redis.url, pebble_options={"always_valid": True, "nonce_reject": 5}
        ) as lab,
    ):
        lab.certmill.start(workers=2)
        yield lab


@pytest.fixture
def ca(lab):
    with LimitedCA(upstream=lab.pebble.directory_url, upstream_ca=lab.pebble.ca_bundle, limits=LIMITS) as ca:
        yield ca


def issuer(lab, ca, name, **annotations):
    bundle = base64.b64encode(ca.ca_bundle).decode()
    lab.apply_issuer(name, server=ca.directory_url, caBundle=bundle, annotations=annotations)


def test_a_fleet_that_knows_the_limits_gets_no_answer_429(lab, ca):
    issuer(lab, ca, "limited", **{"certmill.io/rate-limits": ANNOTATION})
    names = [f"within-{number}.{zone}" for number in range(8) for zone in ("example.test", "other.test")]
    handles = [lab.request(name.replace(".", "-"), name, issuer="limited") for name in names]
    for handle in handles:
        handle.wait(180)

    renewed = lab.certmill.client().renew(names[0].replace(".", "-"))
    renewed.wait(60)

    assert ca.refused == []
    assert sorted(set(ca.created)) == sorted(names)
    assert len(ca.created) == len(names) + 1


def test_a_fleet_that_does_not_know_the_limits_is_refused_and_waits(lab, ca):
    issuer(lab, ca, "unlimited")
    names = [f"without-{number}.other.test" for number in range(14)]
    handles = [lab.request(name.replace(".", "-"), name, issuer="unlimited") for name in names]

    until(lambda: ca.refused, seconds=60, what="an answer 429")

    for handle in handles:
        handle.wait(180)
    assert "too many" in ca.refused[0]
