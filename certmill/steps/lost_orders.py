"""Orders of runs that were lost with Redis' memory: a run goes on with its order if that can be, and the
sweep takes down the values.

Which order it was is in the Certificate's status (steps.order_notes). When the Certificate is reconciled, and
Redis knows of no run, the order is noted in the journal, before the next run writes its own order over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.resources import Order
from certmill.errors import CertmillError, NotFound, Permanent, Temporary
from certmill.issuers import account
from certmill.model.names import CertificateId
from certmill.observe.log import get_logger
from certmill.runs.context import Ports
from certmill.runs.step_context import FIRST_LOOKUP_SECONDS, StepContext
from certmill.runs.zone_locks import RenewLease
from certmill.state.journal import Presented
from certmill.steps import challenge_choice, challenges, order_notes, order_use

_LIMIT = 500

log = get_logger(__name__)


def usable(context: StepContext, acme: AcmeClient) -> Order | None:
    """The order that a lost run has left, if a new key can still be certified by it. Only until the first run
    that Redis knows of has given up an order of its own: then the note is about that."""
    if context.record.run != 1 or context.facts.restarts:
        return None
    status = context.ports.home.certificate_status(context.certificate_id)
    if not status.order or status.order_spec != context.record.spec:
        return None
    order = order_use.usable(acme, status.order, statuses=order_use.UNFINISHED, now=context.ports.clock.now())
    return (
        order
        if order is not None and set(order.identifiers) == set(context.certificate.identifiers)
        else None
    )


def to_journal(ports: Ports, goes_on: Callable[[], bool], renew_lease: RenewLease, *, at: float) -> None:
    """Find out which values the lost orders have up, and enter them into the journal as of `at`.

    A run that is under way comes first: it may go on with its order, and takes the values down itself.
    """
    for certificate, order in ports.journal.lost_orders(_LIMIT):
        if not goes_on():
            return
        record = ports.records.read(certificate)
        if record is not None and record.step:
            continue
        try:
            ports.journal.add(list(_values(ports, certificate, order, renew_lease)), now=at)
        except Temporary as error:
            log.warning("sweep.postponed", certificate=certificate, order=order, reason=str(error))
            continue
        except CertmillError as error:
            log.warning(
                "sweep.given_up",
                certificate=certificate,
                order=order,
                reason=f"{error}; TXT values of this order may be left",
            )
        ports.journal.forget_lost_order(certificate)
        order_notes.clear(ports.home, certificate, only=order)


def _values(
    ports: Ports, certificate_id: CertificateId, order: str, renew_lease: RenewLease
) -> Iterator[Presented]:
    """The DNS-01 values of an order, whatever became of it. Of an authorization that is gone nothing can be
    told."""
    certificate = ports.home.certificate(certificate_id)
    issuer = ports.home.issuer(certificate.issuer) if certificate is not None else None
    if certificate is None or issuer is None:
        raise NotFound(f"Certificate {certificate_id} or its issuer is not there")
    registered = account.registered(ports, issuer)
    if registered is None:
        raise NotFound(f"the account of {issuer.reference} is another")
    key, acme = AccountKey.from_pem(registered.key_pem), account.client(ports, issuer)
    for url in acme.order(order).authorizations:
        renew_lease()
        try:
            challenge, solver = challenge_choice.choose(certificate, issuer, acme.authorization(url))
            if solver.dns01 is None:
                continue
            renew_lease()
            challenge = challenge_choice.dns01_record(
                ports.checks.zones(solver.dns01),
                challenge,
                solver.dns01,
                key.thumbprint,
                within_seconds=FIRST_LOOKUP_SECONDS,
            )
        except Permanent as error:
            log.warning("sweep.given_up", certificate=certificate_id, authorization=url, reason=str(error))
            continue
        yield challenges.entry(certificate_id, issuer, challenge, certificate.labels)
