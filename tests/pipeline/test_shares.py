"""The issuers of one namespace, with a slow CA or slow name servers, use some threads of a worker, and not
all."""

from __future__ import annotations

from contextlib import ExitStack

from certmill.model.certificate import IssuerRef
from certmill.runs.concurrency import NamespaceLimit
from certmill.runs.outcomes import Proceed, Wait
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

ISSUER = an_issuer(kind="Issuer", namespace="default")
CERTIFICATE = a_certificate(issuer_ref=IssuerRef(name="prod", kind="Issuer", group="cert-manager.io"))
REASON = "waits for its turn: the CAs or name servers of the issuers in namespace default are slow"


def with_shares(mill):
    mill.use(namespace_limit=NamespaceLimit(4))
    return mill


def test_a_step_waits_while_its_namespace_is_at_its_limit_and_then_continues(redis):
    mill = with_shares(Mill(redis, issuer=ISSUER, certificate=CERTIFICATE))
    mill.reconciler.reconcile(CERTIFICATE.id)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(mill.ports.namespace_limit.of("default"))
        waits = mill.run()

    assert isinstance(waits, Wait)
    assert waits.reason == REASON
    mill.wake(waits.seconds + 1)
    assert mill.world.leaf(CERTIFICATE).dns_names == CERTIFICATE.dns_names


def test_runs_of_a_cluster_issuer_continue_meanwhile(redis):
    mill = with_shares(Mill(redis))
    mill.reconciler.reconcile(mill.certificate.id)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(mill.ports.namespace_limit.of("default"))

        assert isinstance(mill.run(), Proceed)


def test_an_issuer_is_registered_later(redis):
    mill = with_shares(Mill(redis, issuer=ISSUER, certificate=CERTIFICATE))
    issuers = mill.issuers
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(mill.ports.namespace_limit.of("default"))
        assert not issuers.reconcile(ISSUER, owner="one").done

    assert issuers.reconcile(ISSUER, owner="one").done
