"""A Certificate with two candidate issuers: a run uses the one with which it began, everywhere."""

from __future__ import annotations

import pytest

from certmill.certificates.candidates import candidates_for
from certmill.contract import STEP_NAMES
from certmill.errors import AccountRefused, SolverMisconfigured
from certmill.model.trigger import UNSAID
from certmill.runs import chain
from certmill.state import keys
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from certmill.views.causes import Cause
from certmill.views.observations import Observations
from tests.pipeline.two_cas import BACKUP, PROD, WEB, TwoCAs
from tests.support.builders import a_certificate
from tests.support.mill import Mill

SOLVED = "_acme-challenge.web.example.test"


@pytest.fixture
def mill(redis):
    mill = Mill(redis, certificate=WEB, issuer=PROD)
    mill.ports.home.apply(BACKUP, "")
    mill.cas = TwoCAs(mill)
    mill.use(clients=mill.cas)
    return mill


def begin_with_the_second(mill):
    """Begin a run that uses the second candidate."""
    _, second = candidates_for(mill.ports.home, WEB)
    mill.ports.records.begin(
        WEB.id,
        now=mill.world.clock.now(),
        steps=(chain.FIRST, *chain.SENT),
        spec=second.spec,
        origin=UNSAID,
        in_flight_until=mill.world.clock.now() + 10,
    )


def begin_again(mill):
    """Let the back-off end, and play the run that begins then."""
    mill.world.clock.advance(mill.record().due - mill.world.clock.now())
    assert mill.reconciler.reconcile(WEB.id).publish_run
    mill.run()


def failing(mill, issuer):
    return mill.ports.issuer_records.failing(issuer.ref)


def test_a_run_uses_the_candidate_with_which_it_began_in_each_step(mill, redis):
    begin_with_the_second(mill)
    for step in STEP_NAMES:
        assert not mill.reconciler.reconcile(WEB.id).publish_run
        assert step == "clean_up" or mill.record().again == "", step
        mill.step(step)

    assert (len(mill.cas.second.orders), mill.record().result) == (1, "issued")
    assert mill.cas.first.orders == mill.cas.first.accounts == {}
    assert mill.world.provider.values.get(SOLVED, set()) == set()
    assert redis.hlen(keys.JOURNAL) == 0


def test_a_pair_of_the_second_candidate_is_right_and_its_secret_names_that_issuer(mill):
    begin_with_the_second(mill)
    mill.run()

    assert mill.reconciler.reconcile(WEB.id).right
    annotations = mill.world.secret("default", "web-tls").annotations
    assert annotations["cert-manager.io/issuer-name"] == "backup"
    assert annotations["cert-manager.io/issuer-kind"] == "Issuer"
    assert len(mill.cas.second.orders) == 1


def test_the_clean_up_after_a_change_of_the_manifest_uses_the_issuer_of_the_run(mill):
    begin_with_the_second(mill)
    for step in STEP_NAMES[:4]:
        mill.step(step)
    assert mill.world.provider.values[SOLVED]
    mill.apply(a_certificate(dns_names=("new.example.test",)))

    mill.run("validate")

    assert mill.world.provider.values.get(SOLVED, set()) == set()


def test_a_failed_run_is_recorded_under_the_issuer_that_it_used(mill):
    mill.use(providers=Refusing())
    begin_with_the_second(mill)

    mill.run()

    assert "refuses our credentials" in mill.failed
    assert (failing(mill, PROD), failing(mill, BACKUP)) == ([], [WEB.id])


class Refusing:
    """DNS-01 providers that refuse the credentials."""

    def provider(self, issuer, solver):
        raise SolverMisconfigured(f"the provider of {issuer.reference} refuses our credentials")


def test_a_fall_back_issuer_that_is_not_ready_ends_its_run_and_the_first_is_next(mill):
    mill.cas.refused = AccountRefused("no such account")
    begin_with_the_second(mill)

    mill.run()

    assert "Issuer/default/backup is not ready: no such account" in mill.failed
    shown = Observations(mill.ports.home, mill.ports.records.read, mill.world.clock, renewal_jitter=0.0)
    assert shown.blocked(WEB, mill.status()).cause is Cause.BACKING_OFF
    begin_again(mill)
    assert (mill.record().result, len(mill.cas.first.orders)) == ("issued", 1)


def test_the_values_of_a_lost_run_are_found_with_the_issuer_that_it_used(mill, redis):
    begin_with_the_second(mill)
    for step in STEP_NAMES[:6]:
        mill.step(step)
    assert mill.world.provider.values[SOLVED]
    redis.flushdb()

    mill.reconciler.reconcile(WEB.id)
    mill.run()
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    assert mill.ticks.sweep("sweep") == 1
    assert mill.world.provider.values.get(SOLVED, set()) == set()


def test_a_run_of_a_candidate_that_was_removed_begins_again_with_the_first(mill):
    begin_with_the_second(mill)
    for step in STEP_NAMES[:2]:
        mill.step(step)
    mill.ports.home.delete("Issuer", "default", "backup")

    mill.run("set_up_challenge")
    mill.run()

    assert mill.record().result == "issued"
    assert len(mill.cas.first.orders) == 1
