"""Redis loses its data under a fleet: what is stored is adopted without an order and without a burst, and
what is in flight is finished."""

from __future__ import annotations

from certmill.contract import STEP_NAMES
from certmill.state import keys
from tests.support.builders import a_certificate, a_pair
from tests.support.mill import Mill

STORED = tuple(
    a_certificate(name=f"s{n}", secret_name=f"s{n}-tls", dns_names=(f"s{n}.example.test",)) for n in range(60)
)
IN_FLIGHT = tuple(
    a_certificate(name=f"f{n}", secret_name=f"f{n}-tls", dns_names=(f"f{n}.example.test",)) for n in range(6)
)


def a_fleet(redis):
    """A fleet whose stored pairs are adopted, with runs in flight at the first steps."""
    mill = Mill(redis, certificate=STORED[0])
    for certificate in (*STORED, *IN_FLIGHT):
        mill.apply(certificate)
    for certificate in STORED:
        mill.ports.home.write_secret(a_pair(certificate))
        mill.reconciler.reconcile(certificate.id)
    for number, certificate in enumerate(IN_FLIGHT):
        mill.certificate = certificate
        mill.reconciler.reconcile(certificate.id)
        for name in STEP_NAMES[: 1 + number % 4]:
            mill.step(name)
    return mill


def renewals(redis):
    return dict(redis.zrange(keys.RENEWALS, 0, -1, withscores=True))


def played(mill):
    """Run what the ticks publish until nothing is in flight."""
    for _ in range(40):
        mill.world.clock.advance(60)
        for wake_up in mill.ticks.wake().wake_ups:
            mill.certificate = next(c for c in IN_FLIGHT if c.id == wake_up.certificate)
            mill.run(wake_up.step)


def test_after_a_flushall_the_stored_are_adopted_and_the_runs_in_flight_finish(redis):
    mill = a_fleet(redis)
    before, orders = renewals(redis), set(mill.world.ca.orders)
    mill.world.clock.advance(5)
    redis.flushdb()

    reread = mill.ticks.reread("reread")
    assert reread.complete
    adopted = renewals(redis)
    played(mill)

    assert adopted == before
    assert len(adopted) == len(STORED)
    new = [order for url, order in mill.world.ca.orders.items() if url not in orders]
    assert {i.value for order in new for i in order.identifiers} <= {c.dns_names[0] for c in IN_FLIGHT}
    assert len(new) <= len(IN_FLIGHT)
    assert all(mill.ports.home.secret(c.namespace, c.secret_name) is not None for c in IN_FLIGHT)
