"""The history of runs that have ended."""

from __future__ import annotations

import pytest

from certmill.contract import STEP_NAMES
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import NameRefused
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Solver
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, an_issuer
from tests.support.mill import Mill

DNS01 = an_issuer(
    solvers=(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=SecretKeyRef(name="cf", key="token")))),)
)


def test_renewals_and_failures_are_kept_in_the_status_and_survive_each_other(redis):
    mill = Mill(redis)
    first = mill.issue()
    mill.world.clock.advance(62 * DAY)
    with_faults(mill, new_order=[NameRefused("the CA refuses web.example.test")])
    mill.ticks.renew()
    mill.run()
    failed_at = mill.world.clock.now()
    mill.world.clock.advance(2 * DAY)
    mill.ticks.renew()
    mill.run()

    one, two, three = mill.status().history
    assert (one.issued, one.message.split(",")[0]) == (True, f"serial {first.serial}")
    assert (two.issued, two.message, two.at) == (False, "the CA refuses web.example.test", failed_at)
    assert (three.issued, mill.status().failed_issuance_attempts) == (True, 0)


def test_a_status_that_is_written_twice_reports_one_run(redis):
    mill = Mill(redis)
    mill.issue()
    for _ in range(3):
        mill.reconciler.reconcile(mill.certificate.id)

    assert len(mill.status().history) == 1


class Killed(BaseException):
    """An exception with the effect that SIGKILL has on the engine."""


@pytest.mark.parametrize("issuer", [an_issuer(), DNS01], ids=["http-01", "dns-01"])
def test_a_run_is_in_the_history_once_though_its_clean_up_is_repeated(redis, issuer):
    mill = Mill(redis, issuer=issuer)
    mill.reconciler.reconcile(mill.certificate.id)
    for step in STEP_NAMES[:-1]:
        mill.step(step)
    assert mill.status().condition("Ready").status
    commit = mill.ports.records.commit

    def dies(*_args, **_kwargs):
        raise Killed

    mill.ports.records.commit = dies
    with pytest.raises(Killed):
        mill.step("clean_up")
    mill.ports.records.commit = commit
    mill.world.clock.advance(61)
    mill.run("clean_up")

    assert mill.record().step == ""
    assert [(run.issued, run.times) for run in mill.status().history] == [(True, 1)]


def test_a_failure_counts_once_though_its_worker_dies_after_it_wrote_the_status(redis):
    mill = with_faults(Mill(redis), new_order=[NameRefused("the CA refuses it") for _ in range(3)])
    mill.reconciler.reconcile(mill.certificate.id)
    mill.step("register_account")
    commit = mill.ports.records.commit

    def dies(*_args, **_kwargs):
        raise Killed

    for _ in range(2):
        mill.ports.records.commit = dies
        with pytest.raises(Killed):
            mill.step("create_order")
        mill.ports.records.commit = commit
        assert mill.status().failed_issuance_attempts == 1
        mill.world.clock.advance(61)
    mill.run("create_order")

    assert mill.record().step == ""
    assert mill.status().failed_issuance_attempts == 1
    assert [run.times for run in mill.status().history] == [1]

    mill.world.clock.advance(2 * DAY)
    with_faults(mill, new_order=[NameRefused("the CA refuses it")])
    mill.ticks.renew()
    mill.run()
    assert mill.status().failed_issuance_attempts == 2
