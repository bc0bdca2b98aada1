"""Requests wait for the request rates of their CA."""

from __future__ import annotations

from pathlib import Path

import pytest

from certmill.acme.actions import Action
from certmill.acme.request_rates import RequestRates, RequestRatesOfCas
from certmill.budgets.request_rates import LETS_ENCRYPT, LETS_ENCRYPT_STAGING, rates_of
from certmill.crypto.keys import generate
from certmill.errors import Busy
from certmill.runtime.acme_clients import AcmeClients
from certmill.settings import Settings
from certmill.testing.clock import FakeClock
from tests.support.builders import a_certificate, an_issuer

PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


def waited(clock, rates, action, number):
    """The seconds that this number of requests waited together."""
    began = clock.monotonic()
    for _ in range(number):
        rates.admit(action)
    return clock.monotonic() - began


@pytest.mark.parametrize(
    ("action", "rate"),
    [
        (Action.NEW_NONCE, LETS_ENCRYPT["new_nonce"]),
        (Action.REGISTER_ACCOUNT, LETS_ENCRYPT["register_account"]),
        (Action.AUTHORIZE_ORDER, LETS_ENCRYPT["authorize_order"]),
        (Action.GET_AUTHORIZATION, LETS_ENCRYPT[""]),
        (Action.FETCH_CERT, LETS_ENCRYPT[""]),
    ],
)
def test_after_a_burst_requests_come_at_the_rate(action, rate):
    clock = FakeClock()
    rates = RequestRates(PRODUCTION, clock=clock)

    assert waited(clock, rates, action, rate.burst) == pytest.approx(0, abs=1e-6)
    assert waited(clock, rates, action, 40) == pytest.approx(40 / rate.per_second)


def test_each_name_in_the_table_is_a_request_of_ours():
    assert {*LETS_ENCRYPT, *LETS_ENCRYPT_STAGING} - {""} <= {action.value for action in Action}


def test_all_other_requests_share_one_rate():
    clock = FakeClock()
    rates = RequestRates(STAGING, clock=clock)

    for action in (Action.GET_ORDER, Action.FETCH_CERT):
        assert waited(clock, rates, action, 10) == pytest.approx(0, abs=1e-6)

    assert waited(clock, rates, Action.ACCEPT_CHALLENGE, 1) == pytest.approx(1 / 20)
    assert waited(clock, rates, Action.AUTHORIZE_ORDER, 40) == pytest.approx(0, abs=1e-6)


class Frozen(FakeClock):
    """Other threads wait at the same time: no pause makes the time go on."""

    def pause(self, seconds):
        self.paused = seconds


def test_a_thread_waits_for_less_than_a_second():
    clock = Frozen()
    rates = RequestRates(PRODUCTION, clock=clock)
    for _ in range(15 + 4):
        rates.admit(Action.REGISTER_ACCOUNT)
    assert clock.paused == pytest.approx(0.8)

    for _ in range(3):
        with pytest.raises(Busy) as busy:
            rates.admit(Action.REGISTER_ACCOUNT)
        assert busy.value.retry_after == pytest.approx(1.0), "a request that is not sent is not counted"


def test_a_ca_that_is_not_known_has_no_request_rates():
    clock = FakeClock()
    rates = RequestRates("https://ca.test/directory", clock=clock)

    assert rates_of("https://ca.test/directory") == {}
    assert waited(clock, rates, Action.NEW_NONCE, 1000) == 0


def test_the_clients_of_one_ca_share_its_rates():
    of = RequestRatesOfCas()

    assert of.of(PRODUCTION) is of.of(PRODUCTION)
    assert of.of(PRODUCTION) is not of.of(STAGING)


def test_the_clients_of_a_process_count_together():
    clients = AcmeClients(Settings(home=Path("unused")))
    keys = [generate(a_certificate().private_key) for _ in range(2)]

    rates = {id(rates_in(clients.client(an_issuer(server=PRODUCTION), key, None))) for key in keys}

    assert len(rates) == 1


def rates_in(client):
    return client._session._exchange._rates
