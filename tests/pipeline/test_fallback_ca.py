"""Two Pebbles as the first and the second CA of an issuer: the first stops, throttles, or refuses a name. The
second is used only where it can help."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from certmill.client.handle import IssuanceFailed
from certmill.testing.faulty_ca import Fault, FaultyCA
from compose.servers.redis import RedisServer
from tests.support.lab import Lab

DAY = 86_400
THROTTLED = Fault.problem(
    "rateLimited",
    status=429,
    detail="too many new orders (300) from this account in the last 3h0m0s",
    headers={"Retry-After": str(DAY)},
)


@dataclass
class Pair:
    """The two CAs of one issuer, each behind a proxy. The issuers are NAME and NAME-backup."""

    name: str
    first: FaultyCA
    second: FaultyCA
    lab: Lab

    def request(self, dns_name=""):
        return self.lab.request(self.name, dns_name or f"{self.name}.example.test", issuer=self.name)

    @property
    def issuer_of_secret(self):
        return self.lab.secret(self.name).annotations["cert-manager.io/issuer-name"]

    @property
    def orders_at_second(self):
        return [path for method, path in self.second.requests if path == "/order-plz" and method == "POST"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fallback")
    settings = {"fallback_after_seconds": "3"}
    with (
        RedisServer(directory=directory / "redis") as redis,
        Lab(directory=directory, redis_url=redis.url, settings=settings) as lab,
    ):
        lab.certmill.start()
        yield lab


@pytest.fixture(scope="module")
def pair(lab, tmp_path_factory):
    """Make a pair of CAs."""
    second = lab.another_pebble(tmp_path_factory.mktemp("second"))
    second.start()
    with ExitStack() as running:
        running.callback(second.stop)

        def behind(pebble, issuer, **annotations):
            ca = FaultyCA(upstream=pebble.directory_url, upstream_ca=pebble.ca_bundle)
            running.enter_context(ca)
            fields = {"server": ca.directory_url, "caBundle": base64.b64encode(ca.ca_bundle).decode()}
            lab.apply_issuer(issuer, **fields, **annotations)
            return ca

        def make(name):
            backup = behind(second, f"{name}-backup")
            annotations = {"certmill.io/fallback-issuers": f"ClusterIssuer/{name}-backup"}
            return Pair(name, behind(lab.pebble, name, annotations=annotations), backup, lab)

        yield make


def test_a_ca_that_has_stopped_is_replaced_and_is_used_again_when_it_is_back(pair):
    stopped = pair("stopped")
    stopped.first.down()

    stopped.request().wait(90)

    assert stopped.issuer_of_secret == "stopped-backup"
    assert len(stopped.orders_at_second) == 1
    stopped.first.up()
    first_serial = stopped.lab.leaf("stopped").serial
    stopped.lab.certmill.client().renew("stopped").wait(90)
    assert stopped.issuer_of_secret == "stopped"
    assert stopped.lab.leaf("stopped").serial != first_serial
    assert len(stopped.orders_at_second) == 1


def test_a_ca_that_throttles_for_a_day_is_replaced_at_once(pair):
    throttled = pair("throttled")
    throttled.first.break_with(THROTTLED, on="/order-plz")

    throttled.request().wait(60)

    assert throttled.issuer_of_secret == "throttled-backup"
    orders = [path for _, path in throttled.first.requests if path == "/order-plz"]
    assert len(orders) == 1, "the CA is not asked again"


def test_a_name_that_the_first_ca_refuses_is_not_asked_from_the_second(pair):
    refused = pair("refused")

    with pytest.raises(IssuanceFailed, match=r"blocked\.test"):
        refused.request("www.blocked.test").wait(60)

    assert refused.orders_at_second == []
