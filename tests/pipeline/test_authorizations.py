"""Anyone may operate a CA. So the names in its authorizations do not decide what certmill writes or
answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.contract import STEP_NAMES
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.model.issuer import Dns01Solver, Http01Solver, Solver
from certmill.model.names import Identifier, IdentifierType
from certmill.runs.outcomes import Fail, Proceed
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

HTTP01 = Solver(http01=Http01Solver())
DNS01 = Solver(dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.53:53")))


def with_foreign_authorization(mill, **fields):
    """Execute a run up to its order, which has one authorization for another name."""
    mill.reconciler.reconcile(mill.certificate.id)
    for name in STEP_NAMES[: STEP_NAMES.index("set_up_challenge")]:
        assert isinstance(mill.step(name), Proceed)
    authorizations = mill.world.ca.authorizations
    url = next(iter(authorizations))
    authorizations[url] = replace(authorizations[url], **fields)
    return authorizations[url]


@pytest.mark.parametrize("solver", [DNS01, HTTP01], ids=["dns-01", "http-01"])
@pytest.mark.parametrize(
    "fields",
    [{"identifier": Identifier(type=IdentifierType.DNS, value="bank.example.test")}, {"wildcard": True}],
    ids=["another name", "a wildcard"],
)
def test_nothing_is_presented_for_a_name_that_is_not_in_the_order(redis, fields, solver):
    mill = Mill(redis, issuer=an_issuer(solvers=(solver,)))
    foreign = with_foreign_authorization(mill, **fields)

    result = mill.step("set_up_challenge")

    assert isinstance(result, Fail)
    assert "which is not in the order; nothing was presented" in result.message
    assert foreign.identifier.value in result.message
    assert mill.world.provider.values == {}
    assert mill.world.tokens.get(foreign.challenges[0].token) is None
    assert mill.ports.journal.older_than(mill.world.clock.now() + 1, 10).entries == ()


def test_the_next_run_makes_another_order_after_a_back_off(redis):
    mill = Mill(redis)
    with_foreign_authorization(
        mill, identifier=Identifier(type=IdentifierType.DNS, value="bank.example.test")
    )
    mill.run("set_up_challenge")
    assert len(mill.world.ca.ordered) == 1

    mill.world.clock.advance(7200)
    assert mill.reconciler.reconcile(mill.certificate.id).publish_run
    mill.run()

    assert len(mill.world.ca.ordered) == 2
    assert mill.world.leaf(mill.certificate).dns_names == ("web.example.test",)


def test_a_name_and_its_wildcard_are_in_one_order(redis):
    both = a_certificate(dns_names=("example.test", "*.example.test"))
    mill = Mill(redis, certificate=both, issuer=an_issuer(solvers=(DNS01,)))

    assert set(mill.issue().dns_names) == {"example.test", "*.example.test"}


def test_what_the_ca_left_out_needs_no_authorization(redis):
    """RFC 8555 §7.1.3: which authorizations an order needs is the server's policy."""
    both = a_certificate(dns_names=("a.example.test", "b.example.test"))
    mill = Mill(redis, certificate=both)
    mill.reconciler.reconcile(both.id)
    for name in STEP_NAMES[: STEP_NAMES.index("set_up_challenge")]:
        assert isinstance(mill.step(name), Proceed)
    orders = mill.world.ca.orders
    (order,) = orders.values()
    orders[order.url] = replace(order, authorizations=order.authorizations[:1])

    mill.run("set_up_challenge")

    assert set(mill.world.leaf(both).dns_names) == {"a.example.test", "b.example.test"}
