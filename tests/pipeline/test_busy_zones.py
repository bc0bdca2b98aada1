"""Steps that cannot acquire the lock of a zone: they end as waiting, and this does not count as a try."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.contract import STEP_NAMES
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import ProviderUnavailable
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Selector, Solver
from certmill.runs.outcomes import Proceed, Wait
from certmill.state import keys
from certmill.steps.clean_up import LONGEST_WAIT_SECONDS, MAX_TRIES
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
SERVER = Rfc2136(nameserver="192.0.2.1")
DNS01 = an_issuer(solvers=(Solver(dns01=Dns01Solver(provider=SERVER)),))
LOCK = keys.lock("zone", "rfc2136 192.0.2.1:53", "example.test")


def at_step(redis, step, *, issuer=DNS01):
    mill = Mill(redis, issuer=issuer)
    assert mill.reconciler.reconcile(WEB.id).publish_run
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        assert isinstance(mill.step(name), Proceed)
    return mill


def blocked_by(mill, step, *, times, seconds=40.0):
    """Execute the step this many times while another worker has the lock. Returns the reasons for which it
    waits."""
    waits = []
    for _ in range(times):
        result = mill.step(step)
        assert isinstance(result, Wait), result
        waits.append(result)
        mill.world.clock.advance(seconds)
        mill.ticks.wake()
    return waits


@pytest.mark.parametrize("step", ["set_up_challenge", "clean_up"])
def test_waiting_for_the_lock_of_a_zone_counts_as_no_try_and_no_failure(redis, step):
    mill = at_step(redis, step)
    redis.set(LOCK, "another")

    waits = blocked_by(mill, step, times=MAX_TRIES + 3)

    assert "another worker is writing to the zone example.test" in waits[0].reason
    assert waits[0].seconds <= 1.1
    assert (mill.record().tries, mill.record().failures) == (0, 0)


def test_a_clean_up_that_waited_long_for_the_lock_still_removes_everything(redis):
    mill = at_step(redis, "clean_up")
    redis.set(LOCK, "another")
    blocked_by(mill, "clean_up", times=MAX_TRIES + 3)
    assert any(mill.world.provider.values.values())
    redis.delete(LOCK)

    mill.wake(40)

    assert not any(mill.world.provider.values.values())
    assert redis.hlen(keys.JOURNAL) == 0


def test_a_clean_up_that_never_gets_the_lock_is_left_to_the_sweep_after_an_hour(redis):
    mill = at_step(redis, "clean_up")
    redis.set(LOCK, "another")
    blocked_by(mill, "clean_up", times=2, seconds=LONGEST_WAIT_SECONDS / 2 + 1)

    assert mill.step("clean_up") == Proceed()
    assert mill.record().step == ""
    assert redis.hlen(keys.JOURNAL) == 1


class Away:
    """A name server that does not answer."""

    def __init__(self):
        self.asked = 0

    def present(self, record):
        self.asked += 1
        raise ProviderUnavailable("192.0.2.9 does not answer")

    def cleanup(self, record):
        self.present(record)


def test_a_zone_is_written_to_at_one_server_while_it_is_written_to_at_another(redis):
    dead = Solver(
        dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.9")),
        selector=Selector(dns_names=("dead.example.test",)),
    )
    mill = at_step(redis, "set_up_challenge", issuer=replace(DNS01, solvers=(*DNS01.solvers, dead)))
    redis.set(
        keys.lock("zone", "rfc2136 192.0.2.9:53", "example.test"),
        "a worker that waits for a server which is dead",
    )

    assert mill.step("set_up_challenge") == Proceed()


def test_the_names_of_one_certificate_are_written_at_each_of_their_servers(redis):
    both = a_certificate(dns_names=("web.example.test", "dead.example.test"))
    dead = Solver(
        dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.9")),
        selector=Selector(dns_names=("dead.example.test",)),
    )
    mill, away, asked = (
        Mill(redis, certificate=both, issuer=replace(DNS01, solvers=(*DNS01.solvers, dead))),
        Away(),
        [],
    )

    class Providers:
        def provider(self, issuer, solver):
            locks = {
                server: keys.lock("zone", f"rfc2136 {server}", "example.test")
                for server in ("192.0.2.1:53", "192.0.2.9:53")
            }
            locked = [server for server, lock in locks.items() if redis.exists(lock)]
            asked.append((solver.provider.nameserver, locked))
            return away if solver.provider.nameserver == "192.0.2.9" else mill.world.provider

    mill.use(providers=Providers())
    mill.reconciler.reconcile(both.id)
    mill.run()

    assert asked == [("192.0.2.1", ["192.0.2.1:53"]), ("192.0.2.9", ["192.0.2.9:53"])]
    assert away.asked == 1
    assert mill.world.provider.values["_acme-challenge.web.example.test"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SERVER, replace(SERVER, tsig_key_name="other"), True),
        (SERVER, replace(SERVER, nameserver="192.0.2.2"), False),
        (SERVER, replace(SERVER, port=5353), False),
        (
            Cloudflare(api_token=SecretKeyRef(name="a", key="t")),
            Cloudflare(api_token=SecretKeyRef(name="a", key="t")),
            True,
        ),
        (
            Cloudflare(api_token=SecretKeyRef(name="a", key="t")),
            Cloudflare(api_token=SecretKeyRef(name="b", key="t")),
            False,
        ),
    ],
)
def test_an_account_is_one_name_server_or_one_credential(one, other, same):
    places = [provider.account(DNS01.namespace) for provider in (one, other)]

    assert (places[0] == places[1]) == same
