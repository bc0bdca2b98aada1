"""An issuer's preferred chain: other chains are requested only if they may be the preferred one, and a
chain that is not available costs nothing."""

from __future__ import annotations

import base64

import pytest

from certmill.contract import STEP_NAMES
from certmill.errors import CAUnavailable, OrderRefused
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Proceed, Wait
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

PREFERRED = "Preferred Root"
ONE, TWO, THREE = (f"https://ca.test/alternate/{number}" for number in (1, 2, 3))

WEB = a_certificate()


@pytest.fixture
def mill(redis):
    """A run before its last request; the CA's default chain ends at "Memory CA"."""
    return a_mill(redis)


def a_mill(redis, *, preferred=PREFERRED):
    mill = Mill(redis, issuer=an_issuer(preferred_chain=preferred))
    mill.troubles = {}
    mill.on_download = lambda: None
    mill.use(clients=Clients(mill))
    assert mill.reconciler.reconcile(WEB.id).publish_run
    for step in STEP_NAMES[: STEP_NAMES.index("store_secret")]:
        assert isinstance(mill.engine.run(step, WEB.id, task_id="t", root_id="r"), Proceed)
    return mill


class Clients:
    """The environment's CA. A URL in `mill.troubles` raises the error there."""

    def __init__(self, mill) -> None:
        self._mill = mill

    def client(self, issuer, key_pem, account_uri):
        mill, inner = self._mill, self._mill.world.ca.client(issuer, key_pem, account_uri)

        class Client:
            def __getattr__(self, name):
                return getattr(inner, name)

            def certificate(self, url):
                mill.on_download()
                if url in mill.troubles:
                    mill.world.ca.downloads.append(url)
                    raise mill.troubles[url]
                return inner.certificate(url)

        return Client()


def offer(mill, **chains):
    """The CA offers other chains at these URLs (ONE, TWO, THREE), which end at these issuers; "": the
    chain does not exist."""
    csr = base64.b64decode(Facts.from_json(mill.record().facts).csr)
    for url, root in zip((ONE, TWO, THREE), chains.values(), strict=False):
        mill.world.ca.alternates.append(url)
        if root:
            mill.world.ca.chains[url] = mill.world.ca.issue(csr, issuer=root)


def store(mill):
    return mill.engine.run("store_secret", WEB.id, task_id="t", root_id="r")


def stored_under(mill):
    return mill.world.leaf(WEB).issuer_common_name


def test_the_preferred_chain_is_stored_and_none_after_it_is_asked_for(mill):
    offer(mill, one="Another Root", two=PREFERRED, three="Third Root")

    assert isinstance(store(mill), Proceed)
    assert stored_under(mill) == PREFERRED
    assert mill.world.ca.downloads[1:] == [ONE, TWO]


@pytest.mark.parametrize("preferred", ["Memory CA", ""])
def test_where_the_default_chain_is_preferred_no_other_is_asked_for(redis, preferred):
    mill = a_mill(redis, preferred=preferred)
    offer(mill, one="Another Root")

    assert isinstance(store(mill), Proceed)
    assert stored_under(mill) == "Memory CA"
    assert len(mill.world.ca.downloads) == 1


def test_a_chain_that_the_ca_does_not_have_is_skipped_and_costs_no_order(mill):
    offer(mill, one="", two=PREFERRED)

    assert isinstance(store(mill), Proceed)
    assert stored_under(mill) == PREFERRED
    assert len(mill.world.ca.orders) == 1


def test_without_any_chain_that_can_be_had_the_default_is_stored(mill):
    offer(mill, one="", two="Another Root")
    mill.troubles[TWO] = OrderRefused("no")

    assert isinstance(store(mill), Proceed)
    assert stored_under(mill) == "Memory CA"


def test_an_unavailable_chain_is_requested_again_and_then_skipped(mill):
    """A chain at another host is not requested, and is reported as CAUnavailable too."""
    offer(mill, one=PREFERRED)
    mill.troubles[ONE] = CAUnavailable(
        "ca.test sent a URL that certmill does not use: its host evil.example is not in the directory"
    )

    for _ in range(2):
        assert isinstance(store(mill), Wait)
        mill.world.clock.advance(600)
        mill.ticks.wake()
    assert isinstance(store(mill), Proceed)
    assert stored_under(mill) == "Memory CA"
    assert len(mill.world.ca.orders) == 1


def test_a_chain_that_is_available_again_is_stored(mill):
    offer(mill, one=PREFERRED)
    mill.troubles[ONE] = CAUnavailable("503")
    assert isinstance(store(mill), Wait)
    mill.troubles.clear()

    mill.world.clock.advance(600)
    mill.ticks.wake()

    assert isinstance(store(mill), Proceed)
    assert stored_under(mill) == PREFERRED


def test_chains_that_take_longer_than_the_lease_keep_it(mill):
    offer(mill, one="Another Root", two="Another Root", three=PREFERRED)
    left = []

    def slow():
        mill.world.clock.advance(25)
        left.append(mill.record().lease - mill.world.clock.now())

    mill.on_download = slow

    assert isinstance(store(mill), Proceed)
    assert len(left) == 4
    assert min(left) > 0
