"""Steps that take longer than their lease: it is renewed between their requests, so that no other worker
begins the same step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.acme.resources import OrderStatus
from certmill.contract import STEP_NAMES
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.http01.base import NoRoutes
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Solver
from certmill.runs.outcomes import Drop, Proceed, Wait
from certmill.state import keys
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

DNS01 = an_issuer(
    solvers=(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=SecretKeyRef(name="cf", key="token")))),)
)
MANY = a_certificate(dns_names=tuple(f"n{number}.example.test" for number in range(100)))
ZONE_LOCK = keys.lock("zone", "cloudflare /cf/token", "example.test")


class SlowMill(Mill):
    """An environment whose provider has no batches. `on_request(what)` is called in each request to it,
    and in each poll of an order."""

    def __init__(self, redis) -> None:
        super().__init__(redis, certificate=MANY, issuer=DNS01)
        self.requests: list[str] = []
        self.on_request = lambda what: None
        self.use(providers=self, clients=self)
        assert self.reconciler.reconcile(MANY.id).publish_run

    def provider(self, issuer, solver):
        return self

    def present(self, record):
        self._note("present")
        self.world.provider.present(record)

    def cleanup(self, record):
        self._note("cleanup")
        self.world.provider.cleanup(record)

    def client(self, issuer, key_pem, account_uri):
        mill, inner = self, self.world.ca.client(issuer, key_pem, account_uri)

        class Client:
            """A CA whose orders are `processing` for four polls."""

            def __getattr__(self, name):
                return getattr(inner, name)

            def finalize(self, url, csr_der):
                return replace(inner.finalize(url, csr_der), status=OrderStatus.PROCESSING)

            def order(self, url):
                mill._note("order")
                order = inner.order(url)
                return (
                    order
                    if mill.requests.count("order") > 4
                    else replace(order, status=OrderStatus.PROCESSING)
                )

        return Client()

    def _note(self, what):
        self.requests.append(what)
        self.on_request(what)

    def come_to(self, step):
        """Execute the chain up to the step before this one."""
        for each in STEP_NAMES[: STEP_NAMES.index(step)]:
            assert isinstance(self.play(each), Proceed)
        self.requests.clear()

    def play(self, step):
        return self.engine.run(step, MANY.id, task_id="t", root_id="r")


@pytest.mark.parametrize(
    ("step", "what", "seconds", "count"),
    [
        ("set_up_challenge", "present", 0.8, 100),
        ("finalize", "order", 25, 5),
        ("clean_up", "cleanup", 0.8, 100),
    ],
)
def test_a_step_that_takes_longer_than_its_lease_renews_it(redis, step, what, seconds, count):
    mill, left = SlowMill(redis), []
    mill.come_to(step)
    begun = mill.world.clock.now()

    def slow(_):
        mill.world.clock.advance(seconds)
        left.append(mill.record().lease - mill.world.clock.now())

    mill.on_request = slow

    assert isinstance(mill.play(step), Proceed)
    assert mill.requests == [what] * count
    assert mill.world.clock.now() - begun > mill.ports.limits.lease
    assert min(left) > 0


class SlowRoutes(NoRoutes):
    """An API server that takes 0.8 s to present or clean up the route of each name."""

    def __init__(self, mill):
        self._mill = mill
        self.left = []

    def route_name(self, certificate, solver):
        return "own"

    def present(self, certificate, host, token, solver):
        self._mill.world.clock.advance(0.8)
        self.left.append(self._mill.record().lease - self._mill.world.clock.now())

    def cleanup(self, certificate, host, route):
        self.present(certificate, host, "", None)


@pytest.mark.parametrize("step", ["set_up_challenge", "clean_up"])
def test_presenting_a_hundred_routes_one_by_one_renews_the_lease(redis, step):
    mill = Mill(redis, certificate=MANY)
    routes = SlowRoutes(mill)
    mill.use(routes=routes)
    assert mill.reconciler.reconcile(MANY.id).publish_run
    for each in STEP_NAMES[: STEP_NAMES.index(step)]:
        assert isinstance(mill.step(each), Proceed)
    routes.left.clear()

    assert isinstance(mill.step(step), Proceed)
    assert len(routes.left) == 100
    assert min(routes.left) > 0


@pytest.mark.parametrize("step", ["set_up_challenge", "clean_up"])
def test_the_lock_of_a_zone_is_kept_while_it_is_written(redis, step):
    mill, left = SlowMill(redis), []
    mill.come_to(step)

    def slow(_):
        mill.world.clock.advance(0.8)
        left.append(redis.pttl(ZONE_LOCK))
        redis.pexpire(ZONE_LOCK, 15_000)

    mill.on_request = slow

    assert isinstance(mill.play(step), Proceed)
    assert len([ttl for ttl in left if ttl > 15_000]) >= 80 / 30
    assert not redis.exists(ZONE_LOCK)


def test_a_step_that_was_claimed_by_another_writes_no_more(redis):
    mill = SlowMill(redis)
    mill.come_to("set_up_challenge")

    def overtaken(_):
        mill.world.clock.advance(0.8)
        redis.hincrby(keys.record(MANY.id), "fence", 1)

    mill.on_request = overtaken

    assert isinstance(mill.play("set_up_challenge"), Drop)
    assert len(mill.requests) < 30
    assert not redis.exists(ZONE_LOCK)


def test_a_clean_up_that_was_claimed_by_another_leaves_the_orders_lock_to_it(redis):
    mill = SlowMill(redis)
    mill.come_to("clean_up")
    (lock,) = redis.keys("certmill:lock:order:*")

    def overtaken(_):
        mill.world.clock.advance(0.8)
        redis.hincrby(keys.record(MANY.id), "fence", 1)

    mill.on_request = overtaken

    assert isinstance(mill.play("clean_up"), Drop)
    assert redis.get(lock) == MANY.id


def test_a_step_that_lost_the_lock_of_its_zone_waits_and_continues_later(redis):
    mill = SlowMill(redis)
    mill.come_to("set_up_challenge")

    def overtaken(_):
        mill.world.clock.advance(0.8)
        redis.set(ZONE_LOCK, "another")

    mill.on_request = overtaken
    result = mill.play("set_up_challenge")

    assert isinstance(result, Wait)
    assert "another worker is writing to the zone example.test" in result.reason
    assert len(mill.requests) < 20
    assert redis.get(ZONE_LOCK) == "another"


def test_a_sweep_keeps_its_lock_while_it_writes(redis):
    mill, left = SlowMill(redis), []
    mill.come_to("wait_for_propagation")
    redis.delete(keys.record(MANY.id))
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    def slow(_):
        mill.world.clock.advance(5)
        left.append(redis.pttl(keys.lock("sweep")))
        redis.pexpire(keys.lock("sweep"), 5_000)

    mill.on_request = slow

    assert mill.ticks.sweep("sweep") == 13
    assert min(left) > 5_000
